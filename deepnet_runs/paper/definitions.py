"""Figures 2 to 12 of the paper as data: what each shows, of which loss, on which scale.

Epochs run along a linear axis, as in the authors' notebook; each quantity is named by its key in measurements.jsonl.

Source: Han, Papyan & Donoho (2022), Figures 2 to 12; Papyan, Han & Donoho (2020), Figures 2 to 8, define 3 to 9.
"""

from typing import Literal, NamedTuple

from central_path.cli.plots import LOSSES, Line

BLACK, BLUE, ORANGE, VERMILLION, GREEN = "#000000", "#0072B2", "#E69F00", "#D55E00", "#009E73"  # Okabe and Ito's
NC1 = r"tr$(\Sigma_W\,\Sigma_B^+)\,/\,C$"
ROBUSTNESS = r"Ave $\Vert r(x)\Vert\,/\,\Vert x\Vert$"


class Curve(NamedTuple):
    """A quantity of the runs of one loss, and how it is drawn."""

    loss: str
    line: Line


class PaperFigure(NamedTuple):
    """One figure of the paper; `remedy` states how to train runs that have its quantity."""

    number: int
    subject: str  # of the file's name
    title: str
    label: str
    scale: Literal["log", "linear"]
    curves: tuple[Curve, ...]
    remedy: str = ""

    @property
    def stem(self) -> str:
        """The file's name without its ending: figure_02_decomposition."""
        return f"figure_{self.number:02d}_{self.subject}"

    @property
    def losses(self) -> list[str]:
        """The losses whose runs are drawn."""
        return list(dict.fromkeys(curve.loss for curve in self.curves))


def _of_mse(*lines: Line) -> tuple[Curve, ...]:
    return tuple(Curve("mse", line) for line in lines)


def _means_and_classifier(key: str) -> tuple[Curve, ...]:
    return _of_mse(
        Line(f"{key}_means_train", "class means", BLUE, "-"),
        Line(f"{key}_classifier", "classifier", ORANGE, "--"),
    )


def _mse_and_ce(key: str) -> tuple[Curve, ...]:
    return Curve("mse", Line(key, "MSE", BLUE, "-")), Curve("ce", Line(key, "CE", ORANGE, "--"))


WITH_CE = "train the same networks with --loss ce"
WITH_ROBUSTNESS = "train with --robustness 100"

FIGURES = (
    PaperFigure(
        2,
        "decomposition",
        "Decomposition of the MSE loss on the training set",
        "loss and its parts",
        "log",
        _of_mse(
            LOSSES[0]._replace(label=r"$\mathcal{L}$, the sum"),
            *LOSSES[1:],
            Line("loss_ls_perp", r"$\mathcal{L}_{LS}^{\perp}$", GREEN, ":"),
        ),
    ),
    PaperFigure(
        3,
        "equinorm",
        "Class means and classifier become equinorm",
        "Std / Avg of the norms",
        "linear",
        _means_and_classifier("equinorm"),
    ),
    PaperFigure(
        4,
        "equiangularity",
        "Class means and classifier become equiangular",
        "Std of the cosines",
        "linear",
        _means_and_classifier("equiangularity"),
    ),
    PaperFigure(
        5,
        "maximal_angle",
        "Class means and classifier approach the maximal angle",
        r"Avg $\vert$cos + 1/(C$-$1)$\vert$",
        "linear",
        _means_and_classifier("max_angle"),
    ),
    PaperFigure(
        6,
        "self_duality",
        "Self-duality: the classifier converges to the class means",
        r"$\Vert W^T\!/\Vert W\Vert - \bar{M}/\Vert\bar{M}\Vert\,\Vert_F^2$",
        "linear",
        _of_mse(Line("self_duality_train", "classifier and class means", BLUE, "-")),
    ),
    PaperFigure(
        7,
        "variability_collapse",
        "Variability collapse on the training set (NC1)",
        NC1,
        "log",
        _of_mse(Line("nc1_train", "within-class over between-class variability", BLUE, "-")),
    ),
    PaperFigure(
        8,
        "nearest_class_center",
        "Network and nearest class mean decide alike",
        "share of test images decided otherwise",
        "linear",
        _of_mse(Line("ncc_mismatch_test", "network and nearest class mean disagree", BLUE, "-")),
    ),
    PaperFigure(
        9,
        "robustness",
        "Robustness: perturbation r(x) that changes the decision on a test image x (DeepFool)",
        ROBUSTNESS,
        "linear",
        _of_mse(Line("robustness", "relative size of the perturbation", BLUE, "-")),
        WITH_ROBUSTNESS,
    ),
    PaperFigure(
        10,
        "variability_collapse_mse_ce",
        "Variability collapse on the training set (NC1), MSE against CE",
        NC1,
        "log",
        _mse_and_ce("nc1_train"),
        WITH_CE,
    ),
    PaperFigure(
        11,
        "robustness_mse_ce",
        "Robustness (DeepFool, test images), MSE against CE",
        ROBUSTNESS,
        "log",
        _mse_and_ce("robustness"),
        f"{WITH_ROBUSTNESS}, and with --loss mse and ce",
    ),
    PaperFigure(
        12,
        "variability_collapse_test",
        "Variability collapse on the test set (NC1), MSE against CE",
        NC1,
        "log",
        _mse_and_ce("nc1_test"),
        WITH_CE,
    ),
)
