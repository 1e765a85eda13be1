"""The mutants of `benchmarks/mutation_score.py`: where they are planted, where not, and that one of them is caught."""

import ast
import random
from pathlib import Path

import mutants
import mutation_score
import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 300.0  # seconds of a run, many times what it needs


@pytest.fixture(scope="module")
def candidates():
    return mutants.all_sites()


def source_of(mutant):
    return (ROOT / mutant.file).read_bytes()


def every_mutant(candidates):
    for site in candidates:
        for new in site.choices:
            yield mutants.Mutant(site.file, site.line, site.start, site.end, site.old, new)


def fragments(code):
    """What may be mutated in a piece of code."""
    return [site.old.strip() for site in mutants.sites("code.py", code.encode())]


def test_the_sites_are_in_every_file_and_never_twice_in_one_place(candidates):
    assert {site.file for site in candidates} == set(mutants.FILES)
    assert len(candidates) > 300
    assert len({(site.file, site.start) for site in candidates}) == len(candidates)


def test_mutants_are_the_same_for_the_same_seed_only(candidates):
    first, again, other = (mutants.choose(candidates, 40, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len({(mutant.file, mutant.start) for mutant in first}) == 40


def test_every_site_can_be_drawn(candidates):
    drawn = mutants.choose(candidates, len(candidates), seed=0)  # all of them, in another order
    assert {(m.file, m.start) for m in drawn} == {(site.file, site.start) for site in candidates}
    with pytest.raises(ValueError, match="Need at most"):
        mutants.choose(candidates, len(candidates) + 1, seed=0)


def test_every_mutant_parses_and_differs_in_one_place(candidates):
    originals = {file: (ROOT / file).read_bytes() for file in mutants.FILES}
    trees = {file: ast.dump(ast.parse(source)) for file, source in originals.items()}
    for mutant in every_mutant(candidates):
        source = originals[mutant.file]
        mutated = mutant.apply(source)
        assert ast.dump(ast.parse(mutated)) != trees[mutant.file], mutant
        assert source[mutant.start : mutant.end] == mutant.old.encode()
        changed = [
            i for i, pair in enumerate(zip(source.splitlines(), mutated.splitlines(), strict=True)) if len({*pair}) > 1
        ]
        assert changed == [mutant.line - 1], mutant
    assert mutants.Mutant(mutant.file, 1, 0, 0, "", "").apply(source) == source  # planted: no error at all


def test_numbers_that_are_a_choice_are_where_they_are_said_to_be_and_not_mutated(candidates):
    ends = {(site.file, site.end) for site in candidates}
    for file, fragments in mutants.CHOICES.items():
        source = (ROOT / file).read_text()
        for fragment in fragments:
            assert source.count(fragment) == 1, fragment
            assert (file, len(source[: source.index(fragment)].encode()) + len(fragment.encode())) not in ends
        assert any(site.file == file for site in candidates)


def kept_texts(tree):
    """Docstrings, annotations, strings and messages of a module, in their order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                yield ast.dump(part)
        if isinstance(node, (ast.JoinedStr, ast.Raise)):
            yield ast.dump(node)


def test_no_docstring_annotation_or_message_is_mutated(candidates):
    originals = {file: list(kept_texts(ast.parse((ROOT / file).read_bytes()))) for file in mutants.FILES}
    for mutant in random.Random(0).sample(list(every_mutant(candidates)), 200):
        assert list(kept_texts(ast.parse(mutant.apply(source_of(mutant))))) == originals[mutant.file], mutant


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('"""1 + 2."""\n', []),
        ("def f(x: Float[Array, 'C-1'] = 3, *, y: int | 4) -> 5:\n    '1 - 2'\n    return x", ["3"]),
        ("def f(x):\n    if x < 0:\n        raise ValueError(f'{x + 1}')\n    return x", []),
        ("def f(x):\n    if x < 0:\n        x = -x\n    return x", ["<", "0", "-"]),
        ("@partial(jit, argnums=(0, 1))\ndef f(x):\n    return x", []),
        ("g = jit(f, static_argnums=(0, 1), donate=True)", []),  # g is read nowhere
        ("def f(w):\n    good = w >= 0\n    return eqx.error_if(w + 1, ~good, f'{w * 2}')", ["+", "1"]),
        ("def f(w):\n    good = w >= 0\n    return eqx.error_if(w, ~good, 'no'), good", [">=", "0"]),
        ("class L:\n    C: int = eqx.field(static=True)\n    def __check_init__(self):\n        return 1 + 1", []),
        ("x = a \\\n    - b  # + c\nprint(x)", ["-"]),
        ("f = lambda a, b: (  # a * b\n    (a) # - b\n    / b\n)\nf(1)", ["/", "1"]),
        ("é = 'é' * k ** -1.5\nprint(é)", ["*", "**", "-", "1.5"]),
        ("x += a not in (b, True)\nprint(x)", ["+=", "True"]),
        ("x = a @ b\nprint(x)", []),
    ],
)
def test_where_errors_are_planted(code, expected):
    assert fragments(code) == expected


def test_a_table_that_names_a_claim_explains_a_catch():
    good = {"claim": "A", "verdict": "holds", "expected": "holds", "tolerance": 1e-10, "fault_residual": 1e-3}
    missed = good | {"claim": "B", "parts": [good, good | {"fault_residual": 9e-10}]}
    refutation = good | {"claim": "C", "fault_residual": None}
    wrong = good | {"claim": "D", "verdict": "unclear"}
    assert list(mutation_score.unexpected([good, missed, refutation, wrong])) == ["B (fault missed)", "D (unclear)"]


def test_the_score_counts_what_is_caught_and_names_what_exceeded_the_limit():
    outcomes = [mutation_score.Outcome(code, 1.0, (), "") for code in (0, 1, 2, None)]
    assert [outcome.caught for outcome in outcomes] == [False, True, True, True]
    text = mutation_score.summary(
        [(mutants.Mutant(mutants.FILES[0], 1, 0, 0, "", ""), outcome) for outcome in outcomes]
    )
    assert "3 of   4: 0.750" in text
    assert "1 of them for exceeding the limit" in text


def planted(candidates, file, function, old, new):
    """The mutant with this replacement at its first place in a function."""
    source = (ROOT / file).read_bytes()
    definition = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == function)
    site = next(
        s
        for s in candidates
        if s.file == file
        and definition.lineno <= s.line <= definition.end_lineno
        and (s.old, new) == (old, *{new} & {*s.choices})
    )
    return mutants.Mutant(site.file, site.line, site.start, site.end, old, new)


def test_one_mutant_is_caught_and_one_that_the_claim_does_not_see_survives(candidates, tmp_path):
    """End to end, with one claim; the checkout stays as it is."""
    cache, before = tmp_path / "cache", {file: (ROOT / file).read_bytes() for file in mutants.FILES}
    options = {"limit": LIMIT, "claims": ["Lemma 1"]}
    original = mutation_score.check_original(tmp_path / "original", cache, claims=options["claims"])
    assert not original.caught
    seen = planted(candidates, "central_path/loss.py", "spectral_losses", "+", "-")
    unseen = planted(candidates, "central_path/collapse.py", "max_angle", "/", "*")
    caught = mutation_score.check_mutant(seen, tmp_path / "seen", cache, **options)
    assert (caught.exit_code, caught.changed) == (1, ("Lemma 1 (unclear)",)), caught.message
    assert caught.verdict == "caught"
    survived = mutation_score.check_mutant(unseen, tmp_path / "unseen", cache, **options)
    assert (survived.exit_code, survived.changed) == (0, ()), survived.message
    text = mutation_score.report(1, seen, caught, tmp_path / "original")
    assert "- p = 1 / (omega**2 + C)\n    + p = 1 / (omega**2 - C)\n    Lemma 1 (unclear)" in text
    assert not (tmp_path / "seen").exists()
    assert before == {file: (ROOT / file).read_bytes() for file in mutants.FILES}


def test_a_checkout_whose_own_checks_fail_is_not_measured(candidates, tmp_path):
    seen = planted(candidates, "central_path/loss.py", "spectral_losses", "+", "-")
    mutation_score.copy_packages(tmp_path / "checkout", mutant=seen)
    with pytest.raises(ValueError, match=r"to pass without a mutant, got exit code 1 \(Lemma 1 \(unclear\)\): mend"):
        mutation_score.check_original(
            tmp_path / "copy", tmp_path / "cache", claims=["Lemma 1"], root=tmp_path / "checkout"
        )
