"""benchmarks/field_study.py: its records give the tables of the runs, and only finished runs are in them."""

import json

import field_study as program
import made_up_field
import made_up_runs
import pytest

from deepnet_runs.dynamics import field_study, field_study_figure
from deepnet_runs.storage import runs


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three runs of the base and of another width, two of them with an omega that has grown fourfold."""
    root = tmp_path_factory.mktemp("study")
    for seed in range(3):
        for name, width in (("base", 1.0), ("narrow", 0.5)):
            made = made_up_runs.rows(seed=seed, clean_from=9)
            made[0] |= {"train_error": 0.5, "omega": [2.0, 1.0], "snr_right": [[1.0, 0.0], [0.0, 1.0]]}
            made[-1] |= {"omega": [8.0, 4.0], "snr_right": [[1.0, 0.0], [0.0, 1.0]]}
            folder = root / f"digits-resnet8-mse-{seed}-{name}"
            made_up_runs.write(folder, seed=seed, made=made, width=width)
            early = program.epochs_of(runs.read(folder))[0]
            made_up_field.write(folder, made_up_field.rows((early, made_up_runs.EPOCHS), seed=10 * seed + int(width)))
    return root


def test_records_are_small_and_give_the_tables_of_the_runs(study, tmp_path):
    read = program.finished([study])
    program.write_records(read, tmp_path)
    kept = program.finished([tmp_path])
    assert [run.folder.name for run in kept] == [run.folder.name for run in read]
    assert program.tables(kept) == program.tables(read)
    assert [len(run.rows) for run in kept] == [3] * 6
    assert "snr_right" not in (kept[0].folder / "measurements.jsonl").read_text()


def test_the_page_is_what_the_committed_records_give():
    page = program.PAGE.read_text(encoding="utf-8")
    assert program.updated(page, program.tables(program.finished([program.RECORDS]))) == page


def test_the_tables_say_how_far_omega_grew_and_compare_both_moments(study):
    text = program.printed(program.tables(program.finished([study])))
    assert "4.00 (4.00 to 4.00)" in text
    assert text.count("3 of 3") == 16
    assert "p corrected for 12" in text


def test_the_tables_say_how_near_the_central_path_is_and_what_the_common_factor_does_alone(study):
    read = program.finished([study])
    run = next(run for run in read if run.folder.name == "digits-resnet8-mse-0-base")
    early = next(row for row in run.rows if row.train_error <= 0.1)
    course = field_study.course_of(run)
    assert course.off_path["early"] == pytest.approx(early.loss_ls_perp / (early.loss_nc1 + early.loss_nc23))
    made = program.tables(read)["digits"]
    (tests,) = (found[1] for found in program.by_data_set(read).values())
    fields = [row["late"].field for row in tests["base"]]
    ((*_, free, alone, chance),) = (row for row in made["whole"] if row[:2] == ["base", "late"])
    for text, name in ((free, "free"), (alone, "common_factor")):
        assert text.startswith(f"{sum(found.models[name].whole.cosine for found in fields) / 3:.2f} (")
    assert chance == f"{sum(found.random['whole']['q95'] for found in fields) / 3:.2f}"
    ((*_, law, _, _),) = (row for row in made["laws"] if row[:2] == ["base", "late"])
    assert law.startswith(f"{sum(found.models['law_0'].residual.cosine for found in fields) / 3:.2f} (")


def test_the_page_gets_each_table_of_each_data_set_between_its_marks(study):
    made = program.tables(program.finished([study]))
    empty = "\n".join(f"<!-- digits {name} -->\nold\n<!-- end of digits {name} -->" for name in made["digits"])
    page = program.updated(empty, made)
    assert "old" not in page
    assert page.count("| --- |") >= 5
    assert "| narrow | late | 3 of 3 |" in page
    with pytest.raises(ValueError, match="digits courses"):
        program.updated("", made)


def test_the_figure_shows_every_condition_with_its_interval_and_every_width(study):
    ((_, tests),) = program.by_data_set(program.finished([study])).values()
    cosine, *others, width = field_study_figure.draw(tests, program.WIDTHS).axes
    for axis in (cosine, *others):
        assert [label.get_text() for label in axis.get_yticklabels()] == ["base", "narrow"]
        assert len(axis.containers) == 4
    late = [row["late"].field.velocity_cosine for rows in tests.values() for row in rows]
    drawn = [line for line in width.lines if len(line.get_xdata()) == len(late)]
    assert sorted(drawn[1].get_ydata()) == pytest.approx(sorted(late))
    assert sorted(set(drawn[1].get_xdata())) == [0.5, 1.0]


def test_a_run_that_is_not_finished_is_left_out_and_named(study, tmp_path, capsys):
    folder = tmp_path / "digits-resnet8-mse-7-base"
    made_up_runs.write(folder, seed=7, made=made_up_runs.rows()[:5])
    assert len(program.finished([study, tmp_path])) == 6
    assert "left out: 1 runs" in capsys.readouterr().err
    with pytest.raises(ValueError, match="Need finished runs, got 1 that are not"):
        program.finished([tmp_path])


def test_the_run_of_another_data_set_is_compared_with_its_own_base(study, tmp_path):
    folder = tmp_path / "fashionmnist-resnet8-mse-0-narrow"
    made_up_runs.write(folder, dataset="fashionmnist", made=made_up_runs.rows())
    with pytest.raises(ValueError, match="Need runs of the condition base"):
        program.tables(program.finished([study, tmp_path]))
    assert json.loads((folder / "config.json").read_text())["dataset"] == "fashionmnist"
