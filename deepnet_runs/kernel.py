"""The field test: the velocity of trained networks' features beside that of the models of neural collapse.

    python -m deepnet_runs.train --dataset digits --network resnet8 --save-weights --output runs/resnet8
    python -m deepnet_runs.kernel runs/resnet8 [RUN ...]

Measures the velocity of the last-layer features under gradient flow on the network's own parameters, at every epoch of
which the run has saved the weights, and compares it with that of free features, of block kernels, of the kernel of the
examples, of a common factor, and of chance. Writes field.jsonl and field.png into the folder of the run. With
--forecast it predicts the later epochs from the features and the kernel at one of them instead, and writes
forecast.jsonl and forecast.png.
"""

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from central_path.cli import records
from central_path.cli.options import DECAY, SEED, Parser, checked
from central_path.cli.program import answer, on_terminal, run_program, set_up_jax
from deepnet_runs.dynamics import field_records, field_tables
from deepnet_runs.dynamics.field_records import FILE, FieldRow
from deepnet_runs.storage import runs
from deepnet_runs.storage.runs import RecordedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROGRAM = "python -m deepnet_runs.kernel"
FIGURE = "field.png"
GIB = 2.0**30
EPILOG = """\
measured    with G the gradient of L_LS (the loss with the least-squares classifier) with respect to the features, and
            Theta = J J^T the kernel of the features: the velocity V = -Theta G, by one vector-Jacobian and one
            Jacobian-vector product over the whole training set in float64; A = U^T (dSNR/dt) V of it.
cos(V,-G)   1 if features move freely, as models with unconstrained features assume.
b           rate of within-class deviations over that of class means, <Theta G_E, G_E>/|G_E|^2 over that of G_M.
k           mobility exponent: slope over the directions j of log(rate_j N (C + omega_j^2)^2/omega_j) in
            log(1 + omega_j^2/C).
turning     share of |A|^2 that turns singular vectors and changes no omega.
free ...    cosine of A with that of a model: free features (Theta = I), class means only, the block kernel with the
            measured b and with the best b, the kernel of the examples tr_P Theta/P times the identity.
by chance   the cosine below which 95 % of random velocities are.
left        share of |A|^2 that is left when the common factor diag(omega) is projected out.
...*        the same cosines of what is left of both. A model that agrees as a whole and not here is no better than
            growth by one common factor, whatever the cause.
records     field.jsonl, a line for each epoch, with errors, clocks, p values, the laws k = 0, 1, 2, and the kernel's
            values kappa_d, kappa_c, kappa_n and isotropy with standard errors; field.png.
time        in units of a forward and backward pass over the training set about 4 + DRAWS + 15 PROBES an epoch.
--forecast  from class means, Sigma_W and the kernel's rates a, w and g at an epoch, the general central path is
            integrated to the later ones, in the time of the summed learning rates over 1 - momentum: as it is, and with
            one fitted number, the clock. Beside it stand free features with a fitted clock, growth by a common factor,
            lines in log epoch, and no change, all fitted to the same first third of the later epochs. "holds until" is
            the last epoch up to which omega is within 10 %, root mean square; U and V are overlaps of singular vectors,
            1 if all agree. Writes forecast.jsonl and forecast.png; for runs with --loss mse.
exit codes  0: measured; 2: unusable arguments, runs or weights, and nothing is written for that run or later ones.

example     python -m deepnet_runs.kernel runs/resnet8 --epochs 10 40 120
            python -m deepnet_runs.kernel runs/resnet8 --forecast 10 40"""
EPOCH = checked(int, lambda n: n >= 1, "an epoch from 1 on")
PROBES = checked(int, lambda n: n == 0 or n >= 2, "0, or at least 2 probes, whose spread gives the error")
DRAWS = checked(int, lambda n: n >= 3, "at least 3 draws, whose spread gives the error")
MEMORY = checked(float, lambda x: 0 < x < math.inf, "a positive number of GiB")


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, "Compare the velocity of a network's features with the models of neural collapse.", EPILOG)
    p.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folders of deepnet_runs.train --save-weights, or above them"
    )
    p.add_argument("--epochs", nargs="+", type=EPOCH, metavar="EPOCH", help="default: all whose weights are saved")
    p.add_argument(
        "--forecast",
        nargs="+",
        type=EPOCH,
        metavar="EPOCH",
        help="predict the epochs after these, without a field test",
    )
    modes = "statistics of the whole set, as full-batch descent moves them (training, the default), or fixed"
    p.add_argument("--batchnorm", choices=("training", "evaluation"), default="training", help=modes)
    p.add_argument("--lam", type=DECAY, metavar="X", help="weight decay in L_LS (default: the run's lam)")
    p.add_argument("--probes", type=PROBES, default=4, metavar="INT", help="of each trace (default 4); 0 for none")
    p.add_argument("--draws", type=DRAWS, default=16, metavar="INT", help="of the sample kernel (default 16)")
    memory = (
        "of activations at a time (default 2); with batch statistics of a set that needs more, it takes much longer"
    )
    p.add_argument("--memory", type=MEMORY, default=2.0, metavar="GIB", help=memory)
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    p.add_argument("--data-dir", type=Path, default=Path("data"), metavar="DIR", help="folder of the data sets")
    p.add_argument("--seed", type=SEED, default=0, metavar="INT", help="of probes and random velocities (default 0)")
    p.add_argument("--no-plots", action="store_true", help="write no figure")
    return p


def weights_of(run: RecordedRun, epochs: list[int] | None) -> dict[int, Path]:
    """The saved weights of a run by epoch, all or those asked for.

    Raises:
        ValueError: if there are none.
    """
    saved = {
        int(path.stem.removeprefix("epoch_")): path for path in sorted((run.folder / "weights").glob("epoch_*.pt"))
    }
    if not saved:
        raise ValueError(f"Need saved weights in {run.folder / 'weights'}, got none: train with --save-weights.")
    missing = [str(epoch) for epoch in epochs or [] if epoch not in saved]
    if missing:
        raise ValueError(
            f"Need weights of epoch {', '.join(missing)} in {run.folder}, got {', '.join(map(str, saved))}: "
            "give --epochs of these."
        )
    return {epoch: saved[epoch] for epoch in sorted(set(epochs or saved))}


def measured(args: argparse.Namespace, run: RecordedRun, weights: dict[int, Path]) -> list[FieldRow]:
    """The rows of a run.

    Raises:
        ValueError: for weights or data that cannot be used.
    """
    from deepnet_runs.dynamics import measured_field  # imports torch
    from deepnet_runs.training.images import images_of
    from deepnet_runs.training.run import choose_device

    config = measured_field.config_of(run)
    images = images_of(config, args.data_dir)
    options: dict[str, Any] = {
        "lam": config.lam if args.lam is None else args.lam,
        "device": choose_device(args.device),
        "batchnorm": args.batchnorm,
        "probes": args.probes,
        "draws": args.draws,
        "memory": args.memory * GIB,
        "seed": args.seed,
    }
    bar = tqdm(weights.items(), desc=run.folder.name, file=sys.stderr, leave=False, disable=not on_terminal())
    return [
        measured_field.measure(measured_field.network_of(config, images, path), images, epoch=epoch, **options)
        for epoch, path in bar
    ]


def write(run: RecordedRun, name: str, text: bytes, figure: str, draw: Callable[[], "Figure"] | None) -> None:
    """The records and the figure into the folder of the run, the figure unless `draw` is None."""
    with records.staging(run.folder, last=name, stale=(figure,) if draw is None else ()) as stage:
        (stage / name).write_bytes(text)
        if draw is not None:
            draw().savefig(stage / figure, dpi=160)


def predicted(args: argparse.Namespace) -> str:
    """Predict the later epochs of every run and write them; the table.

    Raises:
        ValueError: for a run that has no forecast; those before it are written.
    """
    from deepnet_runs.dynamics import forecast_tables, measured_field, measured_forecast  # import torch and JAX
    from deepnet_runs.training.images import images_of
    from deepnet_runs.training.run import choose_device

    set_up_jax()
    found = [runs.read(folder) for folder in runs.within(args.runs)]
    for run in found:
        weights_of(run, args.forecast)
        records.check_destination(run.folder, (forecast_tables.FILE, forecast_tables.FIGURE))
    made: dict[str, list[Any]] = {}
    for run in found:
        of_run = weights_of(run, args.epochs and [*args.epochs, *args.forecast])
        config = measured_field.config_of(run)
        how = {"lam": config.lam if args.lam is None else args.lam, "device": choose_device(args.device)}
        how |= {"batchnorm": args.batchnorm, "memory": args.memory * GIB}
        forecasts = measured_forecast.forecasts(
            run, config, images_of(config, args.data_dir), of_run, args.forecast, **how
        )
        made[str(run.folder)] = forecasts
        draw = None if args.no_plots else partial(forecast_tables.draw, forecasts, run.folder.name)
        write(run, forecast_tables.FILE, forecast_tables.text(forecasts), forecast_tables.FIGURE, draw)
    return forecast_tables.table(made)


def tested(args: argparse.Namespace) -> str:
    """Measure and write every run; the tables.

    Raises:
        ValueError: for a run that cannot be measured; those before it are written.
    """
    found = [runs.read(folder) for folder in runs.within(args.runs)]
    weights = [weights_of(run, args.epochs) for run in found]
    for run in found:
        records.check_destination(run.folder, (FILE, FIGURE))
    rows: dict[str, list[FieldRow]] = {}
    for run, of_run in zip(found, weights, strict=True):
        rows[str(run.folder)] = measured(args, run, of_run)
        text, draw = field_records.text(rows[str(run.folder)]), None
        if not args.no_plots:
            from deepnet_runs.dynamics import field_figure  # imports matplotlib

            draw = partial(field_figure.draw, rows[str(run.folder)], run.folder.name)
        write(run, FILE, text, FIGURE, draw)
    groups = runs.repetitions(found)
    named = dict(zip(runs.labels(groups), ([rows[str(run.folder)] for run in group] for group in groups), strict=True))
    return field_tables.tables(rows, named)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return answer(PROGRAM, lambda: (0, predicted(args) if args.forecast else tested(args)))


if __name__ == "__main__":
    run_program(main)
