"""Calls one ahead of what is made of their results."""

import threading

import pytest

from central_path.simulation.ahead import one_ahead


def test_results_come_in_order_and_the_next_call_runs_while_one_is_used():
    begun = [threading.Event() for _ in range(4)]

    def call(i):
        begun[i].set()
        return 10 * i

    seen = []
    for i, result in enumerate(one_ahead(call, range(4))):
        seen.append(result)
        assert begun[min(i + 1, 3)].wait(30)  # the next has begun, though this one is still in use
        assert not any(event.is_set() for event in begun[i + 2 :])  # and none beyond it
    assert seen == [0, 10, 20, 30]
    assert list(one_ahead(call, [])) == []


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_an_exception_comes_through_and_the_thread_ends():
    before = workers()

    def call(i):
        if i == 1:
            raise ValueError("need something else")
        return i

    with pytest.raises(ValueError, match="something else"):
        list(one_ahead(call, range(5)))
    for thread in set(workers()) - set(before):
        thread.join(30)
    assert set(workers()) <= set(before)


def test_who_leaves_early_leaves_no_thread():
    before = workers()
    called = []
    results = one_ahead(called.append, range(100))
    next(results)
    assert set(workers()) > set(before)
    results.close()
    for thread in set(workers()) - set(before):
        thread.join(30)
    assert set(workers()) <= set(before)
    assert len(called) <= 2
