"""What is written for people is true, both ways, and speaks of the project only."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import server
from server.parts import open_parts
from server.settings import read_settings

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_OTHERS_FOLDERS = {"build", "dist", "results", "__pycache__", "node_modules"}
_WRITTEN = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".sh", ""}
_MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|briefs)/|\.\./shared")


def _texts() -> Iterator[Path]:
    waiting = [_ROOT]
    while waiting:
        for path in waiting.pop().iterdir():
            if path.name in _OTHERS_FOLDERS or (path.name.startswith(".") and path.name != ".ci"):
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.suffix in _WRITTEN and path != Path(__file__):
                yield path


def _table(heading: str) -> list[list[str]]:
    section = _README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_readme_lists_every_setting_with_its_default_unit_and_meaning_and_no_other() -> None:
    told = [(name.strip("`"), default, unit, meaning) for name, default, unit, meaning in _table("Settings")]
    true = [(row.name, row.default, row.unit or "-", row.meaning) for row in read_settings({}).described()]
    assert told == true


@pytest.mark.anyio
async def test_readme_lists_every_tool_and_no_other() -> None:
    async with open_parts(read_settings({})) as parts:
        names = {tool.name for tool in parts.tools}
    assert {row[0].strip("`") for row in _table("Tools")} == names


def test_readme_names_only_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test", "serve", "check", "bench", "help"} <= targets
    assert set(re.findall(r"make ([a-z-]+)", _README)) - {"says"} <= targets


def test_files_that_documents_link_to_exist() -> None:
    for document in (_ROOT / "README.md", _ROOT / "docs" / "architecture.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_changelog_has_the_version_and_a_place_for_what_comes_next() -> None:
    changelog = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{server.__version__}]" in changelog
    assert changelog.index("## [Unreleased]") < changelog.index(f"## [{server.__version__}]")


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    named = [
        f"{path.relative_to(_ROOT)}: {line.strip()[:80]}"
        for path in _texts()
        for line in path.read_text(encoding="utf-8").splitlines()
        if _MACHINE_PATH.search(line)
    ]
    assert named == []


def test_pinned_versions_are_exact_and_name_no_place_to_fetch_them_from() -> None:
    pins = [line for line in (_ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [pin.partition("==")[0] for pin in pins]
    assert names == sorted(names)
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    assert not any(pin.startswith("uds-mcp") for pin in pins)
