"""Figures drawn by a process of their own, which loads matplotlib while the flows are integrated."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Painter:
    """A running `python -m central_path.plots -`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "central_path.plots", "-"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def draw(self, folder: Path) -> None:
        """Draw the figures of a folder that holds a trajectory.npz.

        Raises:
            OSError: if they could not be drawn.
        """
        _, complaint = self._process.communicate(str(folder.absolute()))
        if self._process.returncode:
            last = complaint.strip().splitlines()[-1:] or [f"exit code {self._process.returncode}"]
            raise OSError(f"the figures could not be drawn ({last[0]}); --no-plots goes without")

    def dismiss(self) -> None:
        """End the process; harmless after `draw`."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def painter(wanted: bool) -> Iterator[Painter | None]:
    """A `Painter` if one is wanted, gone when the block ends."""
    if not wanted:
        yield None
        return
    started = Painter()
    try:
        yield started
    finally:
        started.dismiss()
