"""float64 as in a program, strict promotion of dtypes and ranks, five seeds for what is drawn at random.

The suite is to run on two cores with little memory: the compiler takes the programs' own options, which halve its time,
a process computes in one thread, and what a file has compiled is freed when its last test has ended.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from threadpoolctl import threadpool_limits

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_disable_most_optimizations", True)  # compiling takes two thirds of the time
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

pytest.register_assert_rewrite("refusal")

SEEDS = range(5)


def pytest_sessionstart() -> None:
    """Options of the compiler and threads, before JAX starts and after jaxtyping watches the packages."""
    from central_path.simulation.compiler import compile_quickly

    compile_quickly()
    for library in ("OMP", "OPENBLAS"):  # of the processes that tests start
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_numpy() -> Iterator[None]:
    """Matrices here are small, and threads of two workers wait for each other."""
    with threadpool_limits(1):
        yield


class Memory:
    """What a worker holds, and when its compiled programs are to go.

    A worker that has imported everything holds 1.1 GB, which no test can free.
    """

    ENOUGH, ROOM = 1.25e9, 0.15e9  # bytes; nothing is freed below the first, nor before it has grown by the second
    left = 0.0  # after it was last freed

    @staticmethod
    def resident() -> float:
        """Bytes; 0 where the system does not say."""
        pages = Path("/proc/self/statm")
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if pages.exists() else 0.0

    @classmethod
    def free(cls) -> None:
        """Forget compiled programs, and give back what the compiler and torch have freed."""
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
    """Five seeds for everything that is drawn at random."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs run by tests keep their compiled code apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield
