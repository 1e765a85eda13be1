"""The program `deepnet_runs.figures`: its files, what it leaves out and says so, what it refuses."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import made_up_runs
import pytest
from refusal import refused

from deepnet_runs import figures
from deepnet_runs.paper import panels
from deepnet_runs.paper.definitions import FIGURES

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One pair, both losses."""
    folder = tmp_path_factory.mktemp("small")
    for loss in ("mse", "ce"):
        made_up_runs.write(folder / loss, loss=loss)
    return folder


@pytest.mark.slow
def test_the_files_of_a_run_replace_those_of_another_format(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    out = tmp_path / "out"
    tables = {"table1.md", "table1.csv", "figures.json"}
    stems = {f"figure_{n:02d}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 12)}
    for ending, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert figures.main([str(small), "--output", str(out), "--format", ending]) == 0
        names = {path.name for path in out.iterdir()} - tables
        assert {name[:9] for name in names} == stems
        assert {name.rsplit(".")[-1] for name in names} == {ending}
        assert all((out / name).read_bytes().startswith(magic) for name in names)
    said = capsys.readouterr().out
    assert "Figure 9 is left out, no run with MSE loss has robustness: train with --robustness 100." in said
    assert "Figure 11 is left out, no run with MSE or CE loss has robustness" in said
    assert (out / "table1.md").read_text() in said
    record = json.loads((out / "figures.json").read_text())
    assert {entry["file"] for entry in record["figures"] if entry["file"]} == names
    assert [run["loss"] for run in record["runs"]] == ["mse", "ce"]
    assert record["runs"][0]["differs_from_recipe"] == {"epochs": "30 for 120"}


def test_the_numbers_of_images_are_recorded_and_a_subset_does_not_pass_for_the_whole(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    made_up_runs.write(tmp_path / "subset", train_images=1000, test_images=397)
    made_up_runs.write(tmp_path / "whole", "vgg7", train_images=1400, test_images=397)
    made_up_runs.write(tmp_path / "earlier", "densenet10")
    assert figures.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert re.search(r"digits ResNet8 MSE is not trained by its recipe: .*train_images 1000 for 1400", said.out)
    assert said.out.count("train_images") == 1
    record = json.loads((tmp_path / "out" / "figures.json").read_text())
    sizes = {run["network"]: (run["train_images"], run["test_images"]) for run in record["runs"]}
    assert sizes == {"resnet8": (1000, 397), "vgg7": (1400, 397), "densenet10": (None, None)}
    assert figures.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    assert re.fullmatch(
        r".*out: replaced figure_02_\w+.png, .*, figures.json of an earlier run\n", capsys.readouterr().err
    )


def test_runs_on_any_data_set_and_of_any_network_have_panels_with_their_names(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    pets, long = "folder:/somewhere/pets", f"folder:/somewhere/{'very' * 20}_long"
    for i, dataset in enumerate((pets, "cifar100", long, "digits", "my own")):
        made_up_runs.write(tmp_path / str(i), "torchvision:vit_b_16" if i < 2 else "resnet8", dataset=dataset)
    assert figures.main([str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    for words in ("| pets ", "| CIFAR100 ", "| digits ", "| my own ", "| vit_b_16 "):
        assert words in said
    drawn = panels.draw(FIGURES[0], made_up_runs.read(tmp_path))
    texts = [text.get_text() for text in drawn.texts]
    titles = ["digits", "CIFAR100", "pets", "my own"]
    assert {text for text in texts if text in titles} == set(titles)
    assert any(text.startswith("very") and text.endswith("…") for text in texts)
    assert {"ResNet", "vit_b_16"} <= set(texts)


def test_the_same_records_give_the_same_vector_graphic(small, tmp_path):
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    for path in (one, other):
        panels.save(panels.draw(FIGURES[0], made_up_runs.read(small)), path, dpi=40)
    assert one.read_text().startswith("<?xml")
    assert one.read_bytes() == other.read_bytes()


def test_other_losses_and_unfinished_runs_are_named(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figures, "DPI", 40)
    made_up_runs.write(tmp_path / "hui", loss="rescaled-mse", k=3.0, M=2.0)
    made_up_runs.write(tmp_path / "cut", "vgg7", made=made_up_runs.rows()[:6])
    assert figures.main([*map(str, (small / "mse", tmp_path)), "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'hui'} is left out: its loss is rescaled-mse" in said
    assert re.search(rf"{tmp_path / 'cut'} is not finished: epoch \d+ of 30", said)
    assert "Figure 10 is left out, no run with CE loss has nc1_train: train the same networks with --loss ce." in said
    assert "not finished" in (tmp_path / "out" / "table1.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["missing"], "Need a run of deepnet_runs.train or a folder that holds some, got missing"),
        (["a", "other"], r"differ in the seed alone .* digits ResNet mse, got lr = 0.1 and 0.05 in a and other"),
        (["a", "normed"], "got weight_norm = False and True in a and normed"),
        (["a", "again"], "Need one run of each seed, got seed 0 in a and in again"),
        (["hui"], "Need a run with loss mse or ce, got rescaled-mse in hui"),
        (["bare"], "Need train_error in the records of bare, got none"),
        (["a", "--output", "a/config.json"], "Need a folder for the results"),
        (["a", "--output", "taken"], "Need table1.md in taken to be a file, got a folder"),
        (["a", "--format", "gif"], "invalid choice: 'gif'"),
        ([], "required: RUN"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(tmp_path)
    made_up_runs.write(Path("a"))
    made_up_runs.write(Path("again"))
    made_up_runs.write(Path("other"), seed=1, lr=0.05)
    made_up_runs.write(Path("normed"), seed=1, weight_norm=True)
    made_up_runs.write(Path("hui"), loss="rescaled-mse")
    made_up_runs.write(Path("bare"), made=[{"epoch": 1, "test_error": 0.5}])
    (Path("taken") / "table1.md").mkdir(parents=True)
    before = sorted(Path().rglob("*"))
    given = arguments if "--output" in arguments else [*arguments, "--output", "out"]
    said = refused(capsys, figures.main, given)
    assert re.search(match, said), said
    assert sorted(Path().rglob("*")) == before


def test_a_failure_while_drawing_leaves_the_folder_as_it_was(small, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "figures.json").write_text("before")

    def full(drawn, path, *, dpi):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(panels, "save", full)
    assert figures.main([str(small), "--output", str(out)]) == 2
    assert [path.name for path in out.iterdir()] == ["figures.json"]
    assert (out / "figures.json").read_text() == "before"
    assert "No space left on device" in capsys.readouterr().err


def test_it_needs_neither_torch_nor_jax(small, tmp_path):
    code = f"""
import sys
from deepnet_runs import figures
code = figures.main([{str(small)!r}, "--output", {str(tmp_path / "out")!r}, "--log-epochs"])
print(code, sorted({{"torch", "jax"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stderr == "0 []\n"


def test_printed_commands_of_the_readme_parse():
    commands = re.findall(r"python -m deepnet_runs\.figures (.*)$", README.read_text(), re.M)
    assert commands
    for command in commands:
        assert figures.parse(shlex.split(command)).runs
