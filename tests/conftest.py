"""float64 as in a program, strict promotion of dtypes and ranks, five seeds for what is drawn at random.

The suite is to run on two cores with little memory: the compiler takes the programs' own options, which halve its time,
a process computes in one thread, and what a file has compiled is freed when its last test has ended.
"""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator

import jax
import pytest
from threadpoolctl import threadpool_limits

jax.config.update("jax_enable_x64", True)
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


def free_memory() -> None:
    """Forget compiled programs, and give back what the compiler and torch have freed."""
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="module", autouse=True)
def memory_is_freed_between_files() -> Iterator[None]:
    """Compiled programs of a file are of shapes that no other file has."""
    yield
    free_memory()


@pytest.fixture
def memory_is_freed() -> Iterator[None]:
    """The same for a test whose programs no other test of its file runs."""
    yield
    free_memory()


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
