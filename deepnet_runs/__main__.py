"""The programs of this package: `python -m deepnet_runs` lists them."""

import sys
from pathlib import Path

from central_path.listing import main

if __name__ == "__main__":
    sys.exit(main("deepnet_runs", Path(__file__).parent))
