"""Class means and features that converge to a Simplex ETF in a plane: the flow and a real network, as a GIF.

    python -m deepnet_runs.animate runs/resnet8 --classes 3 8 9 --output collapse.gif

Three classes of a run's saved features, as a problem with C = 3: renormalized, and seen in the plane of their class
means (`deepnet_runs.animation.plane`). Left the flow from the first saved epoch in closed form, right the network at
its saved epochs, a frame each, without interpolation. Both begin with the same picture. Needs no PyTorch.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from central_path.cli import records
from central_path.cli.options import Parser, checked
from central_path.cli.program import answer, on_terminal, run_program, set_up_jax
from deepnet_runs.storage import runs

if TYPE_CHECKING:
    from deepnet_runs.animation.plane import Plane

PROGRAM = "python -m deepnet_runs.animate"
FLOWS = ("renormalized", "riemannian")  # the flows that collapse
EPILOG = """\
left        the flow from the features of the first saved epoch: its omega by the closed form, singular vectors and
            deviations where they are, as the theory has it. From t = 0, then logarithmic, until the larger omega is
            within 1 % of the smaller, where the triangle is equilateral.
right       the network at its saved epochs. Where there are more of them than --frames, a choice spread evenly, with
            the first and the last.
drawn       the three classes by themselves, C = 3, renormalized (Sigma_W = I), in the plane of their class means,
            turned and scaled so that a Simplex ETF lies on the dashed triangle. NC1 is of these features, the sum of
            1/omega_j^2, not of all the classes of the run. Of a class at most 140 examples are drawn.
exit codes  0: written; 2: unusable arguments or records, and nothing is written."""
COUNT = checked(int, lambda n: 2 <= n <= 1000, "from 2 to 1000 frames")
RATE = checked(float, lambda x: 0.1 <= x <= 50, "from 0.1 to 50 frames a second")
WIDTH = checked(int, lambda n: 300 <= n <= 2000, "a width from 300 to 2000 pixels")


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, "Three classes in a plane turning into a Simplex ETF, by the flow and by a network.", EPILOG)
    p.add_argument("run", type=Path, metavar="RUN", help="output folder of deepnet_runs.train with --save-features")
    p.add_argument("--output", type=Path, default=Path("runs/collapse.gif"), metavar="FILE.gif", help="%(default)s")
    p.add_argument("--classes", type=int, nargs=3, default=[0, 1, 2], metavar="LABEL", help="three (default 0 1 2)")
    p.add_argument("--flow", choices=FLOWS, default="renormalized", help="on the left (default: %(default)s)")
    p.add_argument("--balance", action="store_true", help="random subsample of every class to the smallest")
    p.add_argument("--frames", type=COUNT, default=60, metavar="INT", help="at most (default: %(default)s)")
    p.add_argument("--fps", type=RATE, default=6.0, metavar="X", help="frames a second (default: %(default)g)")
    p.add_argument("--size", type=WIDTH, default=720, metavar="PIXELS", help="width (default: %(default)s)")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options; exits with code 2 and one line for what cannot be."""
    p = parser()
    args = p.parse_args(argv)
    if len(set(args.classes)) < 3:
        p.error(f"need three different classes, got --classes {' '.join(map(str, args.classes))}")
    if args.output.suffix != ".gif":
        p.error(f"need a file name that ends in .gif, got --output {args.output}")
    return args


def saved_epochs(run: Path) -> list[tuple[int, Path]]:
    """The epochs whose features a run has saved, in order.

    Raises:
        ValueError: if there are fewer than two.
    """
    found = sorted((int(path.stem.removeprefix("epoch_")), path) for path in run.glob("features/epoch_*.npz"))
    if len(found) < 2:
        raise ValueError(
            f"Need a run with the features of two epochs or more, got {len(found)} in {run / 'features'}: train with "
            "--save-features."
        )
    return found


def spread(epochs: Sequence[tuple[int, Path]], frames: int) -> list[tuple[int, Path]]:
    """At most `frames` of the epochs, evenly spaced, with the first and the last."""
    if len(epochs) <= frames:
        return list(epochs)
    return [epochs[i] for i in np.round(np.linspace(0, len(epochs) - 1, frames)).astype(int)]


def network(epochs: Sequence[tuple[int, Path]], classes: Sequence[int], *, balance: bool) -> "list[Plane]":
    """The three classes of a network at each of the epochs.

    Raises:
        ValueError: for features that cannot be read or have no such plane, with the file.
    """
    from deepnet_runs.animation.plane import choose, project  # imports JAX

    planes = []
    for _, path in tqdm(epochs, "epochs", file=sys.stderr, leave=False, disable=not on_terminal()):
        read = records.read_samples(path)
        try:
            planes.append(project(*choose(*read, np.array(classes)), balance=balance))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return planes


def theory(begin: "Plane", flow: str, frames: int) -> "tuple[Float[np.ndarray, ' T'], list[Plane]]":
    """Times of the flow, from 0 to its horizon, and the three classes at each."""
    from central_path.flows import FLOWS  # imports JAX

    N = begin.deviations.shape[2]
    law, times = FLOWS[flow].law(3, N), FLOWS[flow].horizon(begin.omega, C=3, N=N).times(frames)
    omega = np.asarray(law.omega(times[:, None], begin.omega[None, :]))
    return times, [begin.at(now) for now in omega]


def animate(args: argparse.Namespace) -> str:
    """Read, draw and write; the line printed at the end.

    Raises:
        ValueError: for records that cannot be used.
        OSError: if the file cannot be written; then it is not.
    """
    records.check_destination(args.output.parent, (args.output.name,))
    run = runs.read(args.run)
    epochs = spread(saved_epochs(args.run), args.frames)
    set_up_jax()
    seen = network(epochs, args.classes, balance=args.balance)
    times, flow = theory(seen[0], args.flow, len(epochs))

    from deepnet_runs.animation.moving_picture import Picture, write  # imports matplotlib

    names = [str(c) for c in sorted(args.classes)]
    captions = [(f"t = {t:.2g}", f"epoch {epoch}") for t, (epoch, _) in zip(times, epochs, strict=True)]
    frames = list(zip(flow, seen, captions, strict=True))
    titles = f"theory: {args.flow} flow", f"network: {run.config['network']} on {run.config['dataset']}"
    picture = Picture(names, titles, args.size, frames)
    with records.staging(args.output.parent, last=args.output.name) as stage:
        write(picture, frames, stage / args.output.name, fps=args.fps)
    return f"{len(frames)} frames, epochs {epochs[0][0]} to {epochs[-1][0]}, t = 0 to {times[-1]:.3g}; in {args.output}"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    return answer(PROGRAM, lambda: (0, animate(args)))


if __name__ == "__main__":
    run_program(main)
