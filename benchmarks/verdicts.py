"""Time and exit code of `python -m theory_checks`: quick and full, cold and warm, and over many seeds.

    python benchmarks/verdicts.py
    python benchmarks/verdicts.py --seeds 20

Cold means an empty folder of compiled programs. Every run is a whole process. Exit code 1 if a run's is not 0, or if a
quick run takes a minute or a full one ten.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"quick": 60.0, "full": 600.0}


def run(mode: str, seed: int, folder: Path) -> tuple[float, int, list[dict]]:
    """Seconds, exit code and claims of one run."""
    command = [sys.executable, "-m", "theory_checks", "--seed", str(seed), "--output", str(folder / "out")]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    begin = time.perf_counter()
    done = subprocess.run(command + ["--quick"] * (mode == "quick"), env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    return seconds, done.returncode, json.loads((folder / "out" / "claims.json").read_text())


def main() -> int:
    """Run, print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=20, help="quick runs with seeds from 0 (default: %(default)s)")
    args = parser.parse_args()
    ok = True
    worst: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("run          seed  seconds  exit code  claims  as expected")
        runs = [("quick", 0, "cold"), ("full", 0, "warm"), *(("quick", seed, "warm") for seed in range(args.seeds))]
        for mode, seed, cache in runs:
            seconds, code, claims = run(mode, seed, folder)
            good = sum(claim["verdict"] == claim["expected"] for claim in claims)
            print(
                f"{mode}, {cache}".ljust(13) + f"{seed:4d}  {seconds:7.1f}  {code:9d}  {len(claims):6d}  {good:11d}",
                flush=True,
            )
            ok &= code == 0 and seconds < LIMITS[mode]
            for claim in claims:
                share = claim["residual"] / claim["tolerance"] if claim["residual"] is not None else float("inf")
                worst[claim["claim"]] = max(worst.get(claim["claim"], 0.0), share)
    nearest = sorted(worst.items(), key=lambda item: -item[1])[:5]
    print("nearest to their tolerance over all runs: " + ", ".join(f"{name} {share:.2f}" for name, share in nearest))
    print("every run as expected and in time" if ok else "a run failed, or took too long")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
