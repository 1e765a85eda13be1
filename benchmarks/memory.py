"""Peak memory of the main command, over sizes and horizons, beside the libraries that it imports.

    python benchmarks/memory.py

Every row is a process of its own and the peak of its resident memory; the horizon is an argument of one compiled
program that keeps observations and no states, so a longer one costs steps and no memory. Then the same run twice in
one process: what the second takes of the first, and how often a function was traced or compiled for it. Exit code 1 if
the second run traces or compiles, or a horizon of 1e12 takes a tenth more memory than one of 1e4.
"""

import os
import subprocess
import sys

IMPORTS = [sys.executable, "-c", "import jax, diffrax, numpy, equinox; jax.numpy.zeros(3).block_until_ready()"]
SIMULATE = [sys.executable, "-m", "central_path.simulate", "--no-plots", "--output"]

TWICE = """
import sys, time, json
import jax
from central_path import simulate
counts = {}
def listen(event, duration, **_):
    counts[event] = counts.get(event, 0) + 1
jax.monitoring.register_event_duration_secs_listener(listen)
seconds, seen = [], []
for seed in ("0", "1"):
    counts.clear()
    begin = time.perf_counter()
    code = simulate.main([*sys.argv[1:], "--seed", seed])
    assert code == 0
    seconds.append(time.perf_counter() - begin)
    seen.append({key.rsplit("/", 1)[1]: counts.get(key, 0) for key in EVENTS})
print(json.dumps([seconds, seen]))
"""
EVENTS = ["/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/backend_compile_duration"]


def peak(command: list[str]) -> tuple[float, str]:
    """MiB at the most, and what is printed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode} of {' '.join(command)}")
    return usage.ru_maxrss / 2**10, out


def steps(out: str) -> str:
    """Accepted steps of the first flow in the closing table."""
    return next(line for line in out.splitlines() if line.startswith("riemannian")).split()[-2]


def main() -> int:
    """Measure and print."""
    import json
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        base, _ = peak(IMPORTS)
        print(f"{'process':62}  {'MiB':>5}  / imports  steps")
        print(f"{'imports of JAX, diffrax, NumPy, equinox':62}  {base:5.0f}  {1:9.2f}")
        found = {}
        for arguments in (
            "--C 10 --N 50",
            "--C 10 --N 50 --t-max 1e4",
            "--C 10 --N 50 --t-max 1e8",
            "--C 10 --N 50 --t-max 1e12",
            "--C 20 --N 500 --P 256",
            "--C 100 --N 50 --P 512 --level means",
            "--C 100 --N 1300 --P 2048 --level means",
        ):
            mib, out = peak([*SIMULATE, f"{folder}/run", *arguments.split(), "--flow", "riemannian"])
            found[arguments] = mib
            print(
                f"{'python -m central_path.simulate ' + arguments:62}  {mib:5.0f}  {mib / base:9.2f}  {steps(out):>5}"
            )
        code = TWICE.replace("EVENTS", repr(EVENTS))
        run = ["--C", "10", "--N", "50", "--no-plots", "--quiet", "--output", f"{folder}/twice"]
        _, out = peak([sys.executable, "-c", code, *run])
    (first, second), (_, again) = json.loads(out.splitlines()[-1])
    print(f"second run of a shape in one process: {second / first:.2f} of the first's time; traced, compiled: {again}")
    longer = found["--C 10 --N 50 --t-max 1e12"] / found["--C 10 --N 50 --t-max 1e4"]
    print(f"memory at t = 1e12 over that at 1e4: {longer:.3f}")
    return int(longer > 1.1 or any(again.values()))


if __name__ == "__main__":
    sys.exit(main())
