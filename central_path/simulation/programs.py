"""Compiled programs in threads: several are compiled side by side, and Ctrl-C ends one that runs."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from central_path.simulation.compiler import COMPILER_OPTIONS

# Compiled one after the other, the first command takes 1.2 times as long (5 pairs, 1.08 to 1.45; benchmarks/README.md).
_threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="compile")


def compiling(lowered: jax.stages.Lowered) -> Future:
    """The promise of a compiled program."""
    return _threads.submit(lowered.compile, COMPILER_OPTIONS)


def interruptible(call: Callable[[], Any]) -> Any:
    """The arrays that a compiled program computes, in a thread of its own, so that Ctrl-C gets through."""
    return _threads.submit(lambda: jax.block_until_ready(call())).result()
