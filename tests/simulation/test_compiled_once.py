"""A second run of one shape in one process neither traces nor compiles, whatever else it asks."""

import collections

import jax
import pytest

from central_path import simulate

SMALL = ["--C", "3", "--N", "9", "--P", "5", "--no-plots", "--quiet"]
TRACED, COMPILED = "/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def counts():
    """Events of JAX by their names, from here on."""
    seen, listening = collections.Counter(), [True]

    def listen(event, duration, **_):
        del duration
        seen.update([event] if listening[0] else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    listening[0] = False


@pytest.mark.parametrize("kind", [["--level", "features"], ["--level", "means"], ["--ensemble", "4"]])
@pytest.mark.slow
def test_flows_seeds_horizons_and_tolerances_share_a_program(tmp_path, counts, kind):
    run = [*SMALL, *kind, "--output", str(tmp_path / "out")]
    assert simulate.main([*run, "--flow", "riemannian", "--flow", "renormalized"]) == 0
    assert counts[TRACED] > 0
    counts.clear()
    others = ["--flow", "renormalized", "--flow", "riemannian", "--seed", "7", "--t-max", "1e5", "--rtol", "1e-9"]
    assert simulate.main([*run, *others]) == 0
    assert (counts[TRACED], counts[COMPILED]) == (0, 0)
    assert simulate.main([*run, "--saves", "33"]) == 0  # planted: another shape
    assert counts[TRACED] > 0
