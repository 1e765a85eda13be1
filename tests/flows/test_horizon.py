import numpy as np
import pytest

from central_path.flows import FLOWS
from central_path.flows.horizon import Horizon, time_of_collapse, time_of_tenfold_growth, time_to_ratio
from central_path.theory.kernel_laws import KernelLaw
from central_path.theory.laws import Law

OMEGA0 = np.array([7.0, 3.0, 0.4])


@pytest.mark.parametrize("name", ["riemannian", "renormalized"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_default_horizon_brings_all_omega_within_one_percent_and_not_much_closer(name, scale):
    law = FLOWS[name].law(4, 10)
    omega = np.asarray(law.omega(time_of_collapse(law, scale * OMEGA0), scale * OMEGA0))
    assert 1.0095 < omega.max() / omega.min() <= 1.01


@pytest.mark.parametrize("b", [1e-3, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_the_horizon_of_a_law_without_a_polynomial_is_found_by_bisection(b, scale):
    law = KernelLaw(b, 1, 4, 10)
    omega = np.asarray(law.omega(time_of_collapse(law, scale * OMEGA0), scale * OMEGA0))
    assert omega[0] / omega[-1] == pytest.approx(1.0099, rel=1e-9)


def test_a_ratio_that_is_nearly_there_is_reached_soon():
    law, omega0 = Law(0, 3, 1), np.array([1.0101, 1.0])
    t_max = time_of_collapse(law, omega0)
    assert 0 < t_max < 1
    omega = np.asarray(law.omega(t_max, omega0))
    assert omega[0] / omega[1] == pytest.approx(1.0099, rel=1e-9)


@pytest.mark.parametrize("name", ["riemannian", "renormalized"])
@pytest.mark.parametrize("omega0", [np.array([3.0]), np.array([3.0, 2.99, 2.98])])
def test_where_omegas_are_close_from_the_start_the_smallest_grows_tenfold(name, omega0):
    law = FLOWS[name].law(4, 10)
    omega = law.omega(time_of_collapse(law, omega0), omega0)
    np.testing.assert_allclose(omega[-1] / omega0[-1], 10, rtol=1e-12)  # closed form against its inverse


@pytest.mark.parametrize(("omega0", "largest"), [(OMEGA0, 70.0), (1e3 * OMEGA0, 2e4)])
def test_unnormalized_grows_tenfold_but_not_beyond_2e4(omega0, largest):
    law = FLOWS["unnormalized"].law(4, 10)
    np.testing.assert_allclose(law.omega(time_of_tenfold_growth(law, omega0), omega0)[0], largest, rtol=1e-12)


def test_unnormalized_beyond_2e4_is_refused_unless_a_horizon_is_given():
    flow = FLOWS["unnormalized"]
    with pytest.raises(ValueError, match="--t-max"):
        flow.horizon(1e4 * OMEGA0, C=4, N=10)
    assert flow.horizon(1e4 * OMEGA0, 5.0, C=4, N=10) == (5.0, 5.0, 1.0)


@pytest.mark.parametrize("name", ["riemannian", "renormalized"])
def test_times_are_logarithmic_from_where_the_fastest_omega_has_grown_by_one_percent(name):
    law = FLOWS[name].law(4, 10)
    chosen = FLOWS[name].horizon(OMEGA0, C=4, N=10)
    ts = chosen.times(50)
    assert (len(ts), ts[0], ts[-1]) == (50, 0.0, chosen.t_max)
    np.testing.assert_allclose(np.diff(np.log(ts[1:])), np.log(ts[-1] / ts[1]) / 48, rtol=1e-9)
    assert 0.005 < np.asarray(law.growth(ts[1], OMEGA0)).max() < 0.0101


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("saves", [2, 3, 7])
@pytest.mark.parametrize("t_max", [1e-9, 1.0, 1e12])
def test_any_horizon_has_increasing_times_from_0_to_its_end(name, saves, t_max):
    ts = FLOWS[name].horizon(OMEGA0, t_max, C=4, N=10).times(saves)
    assert (len(ts), ts[0], ts[-1]) == (saves, 0.0, t_max)
    assert (np.diff(ts) > 0).all()


@pytest.mark.parametrize("name", FLOWS)
def test_several_starts_share_the_longest_horizon_and_the_first_clock_or_what_float64_leaves(name):
    flow, omega0 = FLOWS[name], np.stack([OMEGA0, 2 * OMEGA0, [5.0, 4.999, 4.998], 700 * OMEGA0])
    law = flow.law(4, 10)
    each = [flow.horizon(one, C=4, N=10) for one in omega0]
    default = time_of_collapse if law.is_power_law else time_of_tenfold_growth
    np.testing.assert_allclose(default(law, omega0), [one.t_max for one in each], rtol=1e-15)
    shared = flow.horizon(omega0, C=4, N=10)
    assert shared.t_max == (max if law.is_power_law else min)(one.t_max for one in each)
    assert shared.scale == min(one.scale for one in each)
    assert shared.power == each[0].power
    assert flow.horizon(omega0, 5.0, C=4, N=10).t_max == 5.0


@pytest.mark.parametrize("k", [0, 1])
def test_the_smallest_omega_have_a_horizon_without_a_warning_and_the_largest_a_clear_refusal(k):
    law = Law(k, 2, 10)
    assert np.isfinite(time_of_collapse(law, np.array([1e-80]))).all()
    assert time_to_ratio(law, 1e-80, 1e-80, 1.01) == 0
    assert time_to_ratio(law, 30.0, 30.0, 1.01) == 0
    with pytest.raises(ValueError, match="give --t-max"):
        time_of_collapse(Law(0, 3, 10), np.array([1e80, 1e79]))


@pytest.mark.parametrize("C", [3, 10])
def test_the_rounding_that_is_left_at_the_end_is_that_of_the_largest_omega_by_the_law(C):
    """Where omega^2 is far above C: eps omega^2/(4C) of riemannian features, eps omega^2/C of unnormalized means."""
    N, omega0, eps = 6, np.array([3.0, 2.0]), np.finfo(float).eps
    for name, level, t_max, part in (("riemannian", "features", 1e14, 4), ("unnormalized", "means", 9.0 * C**2 * N, 1)):
        flow = FLOWS[name]
        omega = float(flow.law(C, N).omega(t_max, omega0[0]))
        assert omega**2 > 1e3 * C
        found = flow.rounding_at_end(omega0, t_max, level=level, C=C, N=N)
        assert found == pytest.approx(eps * omega**2 / (part * C), rel=0.01)
        assert flow.rounding(omega0, t_max, level=level, C=C, N=N) == found
        assert flow.rounding_at_end(omega0, t_max, level="spectrum", C=C, N=N) == 0
    assert FLOWS["renormalized"].rounding_at_end(omega0, 1e14, level="features", C=C, N=N) == 0


def test_times_to_look_at_are_even_for_a_linear_clock_and_else_logarithmic_from_one_percent_of_growth():
    np.testing.assert_allclose(Horizon(10.0, 10.0, 1.0).times(5), [0.0, 2.5, 5.0, 7.5, 10.0])
    np.testing.assert_allclose(Horizon(6e4, 6.0, 1.0).times(8), [0.0, *0.06 * 10.0 ** np.arange(7)])  # growth is early
    np.testing.assert_allclose(Horizon(6e4, 2.0, 3.0).times(8), [0.0, *0.06 * 10.0 ** np.arange(7)])
    np.testing.assert_allclose(Horizon(3.0, 2.0, 2.0).times(3), [0.0, 0.03, 3.0])  # a hundredth of t_max at the latest
    np.testing.assert_allclose(Horizon(6e4, 2.0, 3.0).times(2), [0.0, 6e4])
