"""The command `python -m central_path.plots FOLDER`; its functions moved to `central_path.cli.plots`.

The names here are removed in the next release.
"""

from central_path.cli.plots import *  # noqa: F403
from central_path.cli.plots import main
from central_path.cli.program import run_program

if __name__ == "__main__":
    run_program(main)
