"""What a package has to run: its programs, each with the first sentence of its own module.

A program is a module that runs as `python -m MODULE`: one with a line `if __name__ == "__main__":`. Modules are read,
not imported, so that listing them costs no library.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from central_path import __version__
from central_path.options import Parser
from central_path.program import say


def runs_as_program(module: ast.Module) -> bool:
    """Whether the module has a part that runs only as `python -m`."""
    guard = "__name__ == '__main__'"
    return any(isinstance(part, ast.If) and ast.unparse(part.test) == guard for part in module.body)


def programs(package: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Names and first sentences of the programs in the folder of a package, its own `__main__` left out.

    Raises:
        ValueError: for a program without a docstring.
    """
    for path in sorted(folder.rglob("*.py")):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__main__" else parts)
        module = ast.parse(path.read_text(encoding="utf-8"))
        if name != package and runs_as_program(module):
            text = ast.get_docstring(module)
            if not text:
                raise ValueError(f"Need a docstring that says what {name} does, got none in {path}.")
            yield name, text.splitlines()[0].rstrip(".")


def table(package: str, folder: Path) -> str:
    """A line for each program."""
    rows = [(f"python -m {name}", sentence) for name, sentence in programs(package, folder)]
    width = max(len(command) for command, _ in rows)
    return "\n".join(f"{command:<{width}}  {sentence}" for command, sentence in rows)


def main(package: str, folder: Path, argv: list[str] | None = None) -> int:
    """The command that lists the programs of a package; returns its exit code."""
    Parser(f"python -m {package}", "List the programs of this package.", "").parse_args(argv)
    say(f"{table(package, folder)}\n\ncentral_path {__version__}; each of them says the rest with --help")
    return 0
