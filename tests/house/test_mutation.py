"""The sample of mutants: by its seed, one a place, and none where no result depends on the source."""

import difflib
import re
from pathlib import Path

import mutation
import pytest
from cosmic_ray.commands.init import init
from cosmic_ray.config import load_config
from cosmic_ray.tools.filters.operators_filter import OperatorsFilter
from cosmic_ray.work_db import WorkDB, use_db

CONFIG = Path(mutation.ROOT, mutation.CONFIG)

SOURCE = '''"""1 + 2."""
@jit(static=(0,))
def f(x: int | float, y: Float[Array, "C-1"] = 3) -> int | None:
    good = x >= 0
    if x > 4:
        raise ValueError(f"{x + 1}")
    x = eqx.error_if(x * 5, ~good, f"{x - 1}")
    return x / y

@dataclass(frozen=True)
class A:
    r: int = field(static=True)
'''


@pytest.fixture
def items(tmp_path):
    """All mutants of the source, less those of excluded operators."""
    (tmp_path / "f.py").write_text(SOURCE)
    with pytest.MonkeyPatch.context() as patch, use_db(tmp_path / "session", WorkDB.Mode.create) as session:
        patch.chdir(tmp_path)
        init([Path("f.py")], session, {})
        excluded = load_config(str(CONFIG)).sub("filters", "operators-filter")["exclude-operators"]
        OperatorsFilter()._skip_filtered(session, excluded)
        return session.pending_work_items


def fragments(chosen):
    lines = SOURCE.splitlines()
    specs = [item.mutations[0] for item in chosen]
    return sorted((m.start_pos[0], lines[m.start_pos[0] - 1][m.start_pos[1] : m.end_pos[1]]) for m in specs)


def test_every_place_that_a_result_depends_on_is_drawn_once_and_no_other(items, tmp_path):
    chosen = mutation.draw(items, tmp_path, 6, seed=0)
    assert fragments(chosen) == [(3, "3"), (4, "0"), (4, ">="), (7, "*"), (7, "5"), (8, "/")]
    with pytest.raises(ValueError, match="Need at most 6 mutants, one for each place, got 7"):
        mutation.draw(items, tmp_path, 7, seed=0)
    everything = {fragments([item])[0] for item in items}
    assert {
        (2, "0"),
        (5, ">"),
        (5, "4"),
        (6, "1"),
        (7, "1"),
        (10, "True"),
        (12, "True"),
    } <= everything  # planted: what is left out was there


def test_the_sample_is_set_by_its_seed_whatever_the_order(items, tmp_path):
    def sample(of, seed):
        return [mutation._rank(item) for item in mutation.draw(of, tmp_path, 4, seed=seed)]

    assert sample(items, 0) == sample(items[::-1], 0)
    assert any(sample(items, 0) != sample(items, seed) for seed in range(1, 5))


def test_the_configuration_names_modules_and_tests_that_are_there():
    config = load_config(str(CONFIG))
    for module in config["module-path"]:
        assert Path(mutation.ROOT, module).is_file()
    assert "--quick" in config.test_command
    branches = dict(re.findall(r"^ +([\w|]+)\) (.*) ;;$", config.test_command, re.M))
    assert {name for names in branches for name in names.split("|")} <= {Path(m).stem for m in config["module-path"]}
    for names, command in branches.items():
        for file in re.findall(r"tests/\S+", command):
            for name in names.split("|"):
                assert len(list(mutation.ROOT.glob(file.replace("$module", name)))) == 1, (name, file)


def test_mutants_without_effect_are_lines_of_their_modules_with_one_change():
    """A line whose original is gone would excuse nothing, or something else."""
    for (module, line), why in mutation.without_effect().items():
        source = Path(mutation.ROOT, module).read_text(encoding="utf-8").splitlines()
        close = difflib.get_close_matches(line, [" ".join(row.split()) for row in source], n=1, cutoff=0.9)
        assert close, line
        assert line not in close
        assert why
    diff = "--- a/f.py\n+++ b/f.py\n@@\n-    y = 1\n+    y =  2\n"
    assert mutation.line_of(diff) == "y = 2"
