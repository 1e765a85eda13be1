"""The programs of this package: `python -m central_path` lists them."""

import sys
from pathlib import Path

from central_path.listing import main

if __name__ == "__main__":
    sys.exit(main("central_path", Path(__file__).parent))
