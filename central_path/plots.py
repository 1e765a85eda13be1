"""The command `python -m central_path.plots FOLDER`; its functions moved to `central_path.cli.plots`.

The names here are removed in the next release.
"""

import gc
import sys

from central_path.cli.plots import *  # noqa: F403
from central_path.cli.plots import main

if __name__ == "__main__":
    gc.disable()  # a short life: collecting would only slow it down
    sys.exit(main(sys.argv[1:]))
