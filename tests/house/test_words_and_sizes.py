"""The house keeps its files and functions small and its names meaningful."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("server", "tools", "state", "sources")
_FILES = sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py"))
_FILE_LINES_MOST = 400
_BODY_LINES_MOST = 40
_BODY_LINES_P90 = 20
_EMPTY_WORDS = {
    *("manager", "handler", "helper", "helpers", "util", "utils", "common"),
    *("base", "data", "info", "process", "processor", "misc"),
}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _words(name: str) -> set[str]:
    """Words of a snake_case or CamelCase name, lower-case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def _named(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | _Function):
            yield node.name


def _body_lines(function: _Function) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        body = body[1:]  # the docstring explains, it does nothing
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def _functions() -> dict[str, int]:
    return {
        f"{path.relative_to(_ROOT)}:{node.name}:{node.lineno}": _body_lines(node)
        for path in _FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, _Function)
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [("SessionManager", {"session", "manager"}), ("read_data", {"read", "data"}), ("metadata", {"metadata"})],
)
def test_names_are_taken_apart_into_words(name: str, words: set[str]) -> None:
    assert _words(name) == words


def test_no_file_class_or_function_has_a_name_that_says_nothing() -> None:
    empty = [
        f"{path.relative_to(_ROOT)}: {name}" for path in _FILES for name in _named(path) if _words(name) & _EMPTY_WORDS
    ]
    assert empty == []


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {
        str(path.relative_to(_ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in [*_FILES, *(_ROOT / "bench").glob("*.py")]
    }
    assert {name: lines for name, lines in lengths.items() if lines > _FILE_LINES_MOST} == {}


def test_functions_are_short() -> None:
    lengths = _functions()
    deciles = statistics.quantiles(lengths.values(), n=10)
    print(f"\n{len(lengths)} functions: body median {deciles[4]:g}, p90 {deciles[8]:g} lines")  # noqa: T201 - shown with -s
    assert {name: lines for name, lines in lengths.items() if lines > _BODY_LINES_MOST} == {}
    assert deciles[8] <= _BODY_LINES_P90


def test_every_file_opens_by_saying_what_it_owns() -> None:
    silent = [
        str(path.relative_to(_ROOT))
        for path in _FILES
        if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_folder_of_tests_is_a_package_that_could_hide_one_of_ours() -> None:
    assert list((_ROOT / "tests").rglob("__init__.py")) == []


def test_no_two_files_of_tests_share_a_name() -> None:
    names = [path.name for path in (_ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
