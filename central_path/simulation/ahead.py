"""Calls in a thread, one ahead of what is made of their results."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_ahead(call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in order; while the caller uses one, the next is computed. Left early, no further call begins."""
    pool = ThreadPoolExecutor(1)
    coming = None
    try:
        for item in items:
            ready, coming = coming, pool.submit(call, item)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
