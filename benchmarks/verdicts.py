"""Time and exit code of `python -m theory_checks`: quick and full, cold and warm, and over many seeds.

    python benchmarks/verdicts.py
    python benchmarks/verdicts.py --seeds 20

Cold means an empty folder of compiled programs. Every run is a whole process; the last one checks every claim on the
instances of all seeds. Exit code 1 if a run's is not 0, or if it takes more than its limit: a minute for a quick run,
ten for a full one, and a minute and a quarter for each further seed.
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
FURTHER = 75.0  # seconds for each seed after the first


def run(mode: str, seeds: int, folder: Path) -> tuple[float, int, list[dict]]:
    """Seconds, exit code and claims of one run."""
    command = [
        sys.executable,
        "-m",
        "theory_checks",
        "--seeds",
        str(seeds),
        "--output",
        str(folder / f"{mode}-{seeds}"),
    ]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    begin = time.perf_counter()
    done = subprocess.run(command + ["--quick"] * (mode == "quick"), env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begin
    return seconds, done.returncode, json.loads((folder / f"{mode}-{seeds}" / "claims.json").read_text())


def main() -> int:
    """Run, print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=20, help="seeds of the last run (default: %(default)s)")
    args = parser.parse_args()
    ok, claims = True, []
    with tempfile.TemporaryDirectory() as name:
        print("run          seeds  seconds  exit code  claims  as expected  comparisons")
        for mode, seeds, cache in (("quick", 1, "cold"), ("full", 1, "warm"), ("full", args.seeds, "warm")):
            seconds, code, claims = run(mode, seeds, Path(name))
            good = sum(claim["verdict"] == claim["expected"] for claim in claims)
            compared = sum(claim["instances"] for claim in claims)
            numbers = f"{seeds:5d}  {seconds:7.1f}  {code:9d}  {len(claims):6d}  {good:11d}  {compared:11d}"
            print(f"{mode}, {cache}".ljust(13) + numbers, flush=True)
            ok &= code == 0 and seconds < LIMITS[mode] + FURTHER * (seeds - 1)
    parts = [(claim["claim"], part) for claim in claims for part in claim["parts"] if part["kind"] == "identity"]
    shares = sorted(((part["residual"] / part["tolerance"], claim) for claim, part in parts), reverse=True)
    print("nearest to their tolerance: " + ", ".join(f"{claim} {share:.2f}" for share, claim in shares[:5]))
    widest = max((part["relative_tolerance"], claim) for claim, part in parts)
    least = min((part["fault_residual"] / part["tolerance"], claim) for claim, part in parts)
    print(f"widest tolerance {widest[0]:.1e} of the quantity compared ({widest[1]})")
    print(f"planted fault caught least: {least[0]:.0f} tolerances ({least[1]}), where more than 10 are needed")
    print("every run as expected and in time" if ok else "a run failed, or took too long")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
