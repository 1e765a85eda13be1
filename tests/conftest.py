"""float64 as in a program, strict promotion of dtypes and ranks, two seeds (and three slow ones) for what is random.

The suite is to run on two cores with little memory: the compiler takes the programs' own options, which halve its time,
a process computes in one thread, what is compiled once is read by all other processes of the session, and what a file
has compiled is freed when its last test has ended.
"""

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiling takes two thirds of the time, in every process
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # reading stored programs logs the processor's features as errors

import jax
import pytest
from threadpoolctl import threadpool_limits

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

pytest.register_assert_rewrite("refusal")

SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))]


def pytest_configure(config: pytest.Config) -> None:
    """A new folder of compiled programs for the workers of a session and the programs that they run, not the user's."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name


def pytest_sessionstart() -> None:
    """Options of the compiler and threads, before JAX starts and after jaxtyping watches the packages."""
    from central_path.simulation.compiler import compile_quickly

    compile_quickly()
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    for library in ("OMP", "OPENBLAS"):  # of the processes that tests start
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_numpy() -> Iterator[None]:
    """Matrices here are small, and threads of two workers wait for each other."""
    with threadpool_limits(1):
        yield


def pytest_collection_finish() -> None:
    """What the imports have made lives as long as the process: looking through it takes half a second each time."""
    gc.collect()
    gc.freeze()


class Memory:
    """What a worker holds, and when its compiled programs are to go.

    A worker that has imported everything holds 1.2 GB, which no test can free. A compiled program takes 2 MB.
    """

    ENOUGH, ROOM = 1.42e9, 0.12e9  # bytes; nothing is freed below the first, nor before it has grown by the second
    left = 0.0  # after it was last freed

    @staticmethod
    def resident() -> float:
        """Bytes; 0 where the system does not say."""
        pages = Path("/proc/self/statm")
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if pages.exists() else 0.0

    @classmethod
    def free(cls) -> None:
        """Forget compiled programs, and give back what the compiler and torch have freed."""
        from central_path.simulation import experiment, starts

        for program in (experiment.solver, experiment.closed_forms, starts.renormalizing):
            program.cache_clear()
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        cls.left = cls.resident()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Programs go after the last test of a file, whose shapes no other file has, and where there are too many."""
    last = nextitem is None or nextitem.path != item.path
    if last or Memory.resident() > max(Memory.ENOUGH, Memory.left + Memory.ROOM):
        Memory.free()


@pytest.fixture(params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    """Five seeds for everything that is drawn at random, of which the quick tests take two."""
    return request.param
