"""The study of the field test on planted values: effects and trends that are there are found, others are not."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_field import rows

from deepnet_runs.dynamics import field_study as study
from deepnet_runs.dynamics.field_study_tables import effects_table, features_table, growth_table


def rows_of(values, moment="late"):
    """Runs whose cos(V, -G) at a moment is as given."""
    (row,) = rows((9,))
    return [{moment: replace(row, field=replace(row.field, velocity_cosine=float(value)))} for value in values]


def test_holm_is_step_down_and_never_decreases_along_the_order():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(study.holm(p), [0.03, 0.06, 0.06, 0.02])
    assert study.holm(np.array([0.9, 0.8])).max() == 1


def test_a_planted_difference_is_found_and_no_difference_is_not(seed):
    rng = np.random.default_rng(seed)
    runs = {"base": rows_of(0.3 + 0.02 * rng.standard_normal(5)), "wide": rows_of(0.6 + 0.02 * rng.standard_normal(5))}
    found = [effect for effect in study.effects(runs) if effect.found]
    assert [(effect.condition, effect.quantity, effect.moment) for effect in found] == [("wide", "cos(V,-G)", "late")]
    assert found[0].difference == pytest.approx(0.3, abs=0.05)


@pytest.mark.slow
def test_the_intervals_of_differences_cover_and_the_correction_keeps_the_rate_of_errors():
    """1,000 studies of 10 conditions without an effect: one is found in at most 5 + 2 %; intervals cover 95 +- 2 %."""
    rng = np.random.default_rng(0)
    wrong, covered = 0, []
    for _ in range(1000):
        base, others = rng.standard_normal(5), rng.standard_normal((10, 5))
        found = [study.welch(other, base) for other in others]
        wrong += bool((study.holm(np.array([p for _, _, p in found])) < 0.05).any())
        covered += [low < 0 < high for _, (low, high), _ in found]
    assert wrong < 70
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.slow
def test_the_trend_covers_its_slope_and_says_where_it_reaches_freedom():
    rng = np.random.default_rng(1)
    widths = np.repeat([0.25, 0.5, 1.0, 2.0, 4.0, 8.0], 5)
    line = 0.3 + 0.1 * np.log2(widths)
    found = [study.trend(widths, line + 0.05 * rng.standard_normal(30), "late", "cos(V,-G)") for _ in range(2000)]
    assert 0.93 < np.mean([t.interval[0] < 0.1 < t.interval[1] for t in found]) < 0.97
    assert np.median([t.reaches for t in found]) == pytest.approx(2**6, rel=0.1)
    flat = [study.trend(widths, 0.3 + 0.05 * rng.standard_normal(30), "late", "cos(V,-G)") for _ in range(2000)]
    assert 0.03 < np.mean([t.found for t in flat]) < 0.07
    assert np.isnan(study.trend([1.0, 1.0, 1.0], [0.1, 0.2, 0.3], "late", "b").slope)


def test_free_is_an_interval_on_one_side_of_the_threshold():
    assert study.freedom([0.95, 0.96, 0.97]) == "free"
    assert study.freedom([0.1, 0.2, 0.15]) == "not free"
    assert study.freedom([0.8, 0.95, 0.99]) == "open"
    assert study.freedom([0.99]) == "open"


def test_a_run_without_a_low_training_error_has_no_moment_and_is_counted():
    runs = {"base": rows_of([0.3, 0.4, 0.5]), "random-labels": [*rows_of([0.2, 0.1]), {}]}
    assert "2 of 3" in [row[2] for row in features_table(runs)]
    for table in (features_table, growth_table):
        never = table({"quarter": [{}, {}]})
        assert [row[:6] for row in never[1:]] == [["quarter", moment, "0 of 2", *"---"] for moment in study.MOMENTS]
        assert never[1][6] == {features_table: "open", growth_table: "-"}[table]
    made = study.effects({"base": rows_of([0.3, 0.4, 0.5]), "wide": rows_of([0.2, 0.1]), "quarter": [{}, {}]})
    known = sum(np.isfinite(effect.p) for effect in made)
    assert 0 < known < len(made)
    assert effects_table(made)[0][-1] == f"p corrected for {known}"
    with pytest.raises(ValueError, match="Need runs of the condition base, got wide"):
        study.effects({"wide": rows_of([0.1, 0.2])})
