"""Small errors to plant in the mathematics: where, which, and where not.

An operator or a comparison swapped, a number changed, a sign dropped, an axis changed, a True made False. Sites are
drawn uniformly over all of `FILES`, less what cannot change a result: annotations, messages, decorators, code that only
refuses unusable input, and `CHOICES`.
"""

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("central_path", "theory_checks")
FILES = tuple(
    f"central_path/{name}.py"
    for name in ("snr", "problem", "decomposition", "loss", "manifold", "laws", "growth", "flows", "collapse")
)

BINARY = {
    ast.Add: ("+", ("-",)),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("/", "+")),
    ast.Div: ("/", ("*",)),
    ast.FloorDiv: ("//", ("*",)),
    ast.Pow: ("**", ("*",)),
}
COMPARISONS = {
    ast.Lt: ("<", (">=",)),
    ast.GtE: (">=", ("<",)),
    ast.Gt: (">", ("<=",)),
    ast.LtE: ("<=", (">",)),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.In: ("in", ("not in",)),
}
AUGMENTED = {kind: (f"{old}=", tuple(f"{new}=" for new in choices)) for kind, (old, choices) in BINARY.items()}
UNARY = {ast.USub: ("-", ("+",)), ast.Invert: ("~", ("",)), ast.Not: ("not ", ("",))}
BEFORE_OPERATOR = re.compile(rb"(?:[\s()\\]|#[^\n]*\n)*")  # between an operand and its operator
COMPILATION = {"static_argnums", "nondiff_argnums"}  # options that choose what is compiled, not what is computed
REFUSALS = {"error_if", "_refuse"}  # calls that hand on their first argument, or raise

CHOICES = {  # numbers, each at the end of its fragment, that are a choice: another one is as right
    "central_path/growth.py": (
        "SPLIT = 3.0",  # both formulas hold on either side
        "_MAX_NEWTON_STEPS = 100",  # a cap that is not reached
        "huge = y > 300",  # both formulas hold on either side, up to about 350
        "jnp.where(small, 1.0",  # these stand where the other branch is taken
        "jnp.where(huge, 1.0",
        "jnp.where(m > 0, m, 1.0",
    )
}


@dataclass(frozen=True)
class Site:
    """Where an error can be planted: the bytes from `start` to `end` of a file, and what may stand there instead."""

    file: str
    line: int
    start: int
    end: int
    old: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Mutant:
    """One error: the bytes from `start` to `end` of a file replaced."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        """The source with the error in it."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def difference(self, source: bytes) -> str:
        """The line before and after, as a diff shows them."""
        before, after = (text.decode().splitlines()[self.line - 1].strip() for text in (source, self.apply(source)))
        return f"- {before}\n+ {after}"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _without_effect(node: ast.AST) -> Iterator[ast.AST]:
    """Parts of a node that are annotations, messages, options of compilation, or refusals."""
    match node:
        case ast.FunctionDef(name="__check_init__") | ast.Raise() | ast.JoinedStr():
            yield node
        case ast.FunctionDef():
            yield from node.decorator_list
            yield from (node.returns,) if node.returns else ()
        case ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case ast.AnnAssign(value=ast.Call(func=function)) if _name(function) == "field":
            yield node
        case ast.AnnAssign():
            yield node.annotation
        case ast.If(test=test, body=body, orelse=[]) if all(isinstance(statement, ast.Raise) for statement in body):
            yield test
        case ast.Call(func=function, args=[_, *rest], keywords=keywords):
            yield from rest if _name(function) in REFUSALS else ()
            yield from (keyword for keyword in keywords if keyword.arg in COMPILATION)


def _targets(node: ast.AST) -> set[str]:
    """Names that a plain assignment defines."""
    if not isinstance(node, ast.Assign):
        return set()
    return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def left_out(tree: ast.Module, used_elsewhere: frozenset[str] = frozenset()) -> set[ast.AST]:
    """Nodes whose mutation cannot change a result, with those that only they read."""
    out = {inner for node in ast.walk(tree) for outer in _without_effect(node) for inner in ast.walk(outer)}
    while True:
        loads = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
        read = used_elsewhere | {node.id for node in loads if node not in out}
        dead = [node for node in ast.walk(tree) if node not in out and (names := _targets(node)) and not names & read]
        if not dead:
            return out
        out |= {inner for node in dead for inner in ast.walk(node)}


def _numbers(value: object) -> tuple[str, ...]:
    """What may stand in the place of a constant."""
    if isinstance(value, bool):
        return (str(not value),)
    if not isinstance(value, (int, float)):
        return ()
    if value > 10:  # one more would be an error too small to see: count half as many terms
        return (repr(type(value)(value // 2)),)
    return (repr(value + 1), repr(value - 1)) if isinstance(value, int) and value > 0 else (repr(value + 1),)


def sites(file: str, source: bytes, used_elsewhere: frozenset[str] = frozenset()) -> list[Site]:
    """All sites of a file, in its order.

    Raises:
        ValueError: if a fragment of `CHOICES` is not there.
    """
    tree = ast.parse(source)
    lines = [0, *(match.end() for match in re.finditer(rb"\n", source))]
    found = []

    def position(line: int | None, column: int | None) -> int:
        return lines[(line or 1) - 1] + (column or 0)

    def add(start: int, old: str, choices: tuple[str, ...]) -> None:
        if choices:
            assert source[start : start + len(old)] == old.encode(), (file, start, old)
            line = source.count(b"\n", 0, start) + 1
            found.append(Site(file, line, start, start + len(old), old, choices))

    def add_between(left: ast.expr, operator: ast.AST, table: dict[type, tuple[str, tuple[str, ...]]]) -> None:
        if type(operator) in table:
            gap = BEFORE_OPERATOR.match(source, position(left.end_lineno, left.end_col_offset))
            assert gap
            add(gap.end(), *table[type(operator)])

    skipped = left_out(tree, used_elsewhere)
    lost = [fragment for fragment in CHOICES.get(file, ()) if source.count(fragment.encode()) != 1]
    if lost:
        raise ValueError(f"Need the fragment {lost[0]!r} of CHOICES once in {file}: bring it up to date.")
    free = {source.index(fragment.encode()) + len(fragment.encode()) for fragment in CHOICES.get(file, ())}
    for node in (node for node in ast.walk(tree) if node not in skipped):
        if isinstance(node, ast.BinOp):
            add_between(node.left, node.op, BINARY)
        elif isinstance(node, ast.AugAssign):
            add_between(node.target, node.op, AUGMENTED)
        elif isinstance(node, ast.Compare):
            for left, operator in zip((node.left, *node.comparators), node.ops, strict=False):
                add_between(left, operator, COMPARISONS)
        elif isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
            add(position(node.lineno, node.col_offset), *UNARY[type(node.op)])
        elif isinstance(node, ast.Constant):
            start, end = position(node.lineno, node.col_offset), position(node.end_lineno, node.end_col_offset)
            if end not in free:
                add(start, source[start:end].decode(), _numbers(node.value))
    return sorted(found, key=lambda site: site.start)


def _names_in(path: Path) -> set[str]:
    """Names that a file imports, or reads as attributes."""
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def all_sites(root: Path = ROOT) -> list[Site]:
    """Sites of all files, in their order."""
    used = {path: _names_in(path) for package in PACKAGES for path in sorted((root / package).rglob("*.py"))}
    found = []
    for file in FILES:
        elsewhere = frozenset().union(*(names for path, names in used.items() if path != root / file))
        found += sites(file, (root / file).read_bytes(), elsewhere)
    return found


def choose(candidates: Sequence[Site], count: int, *, seed: int) -> list[Mutant]:
    """Mutants at sites drawn uniformly and without repetition.

    Raises:
        ValueError: for more mutants than sites.
    """
    if count > len(candidates):
        raise ValueError(f"Need at most {len(candidates)} mutants, one for each site, got {count}.")
    rng = random.Random(seed)
    return [
        Mutant(site.file, site.line, site.start, site.end, site.old, rng.choice(site.choices))
        for site in rng.sample(list(candidates), count)
    ]
