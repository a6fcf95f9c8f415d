"""Which files make one schema, and what the schema is called: pure rules over paths and shapes.

1. Hive partitions (`key=value` folders) belong to the nearest folder above that has no `=` in its name.
2. In a configured folder itself, numbered siblings of one shape are named by their common stem.
3. A folder whose files (two or more) all have one format and shape is named after the folder.
4. Elsewhere, numbered siblings of one shape are named by their common stem.
5. Every other file is a schema of its own, named by its stem.

The first of two equal names in path order keeps it, the second gets `folder.name`, a third one also a number. Names are
compared as DuckDB does, ignoring case.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sources.duckdb.files import FoundFile

_NUMBERED: Final = re.compile(r"^(?P<stem>.*?)[\s._\-()]*\d[\d\s._\-T:()]*$")
_MEANINGLESS: Final = frozenset(
    {"", "part", "chunk", "file", "data", "export", "output", "split", "page", "train", "m"}
)
"""Stems that say less than the name of the folder around them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A file and the token of its format and shape. Files with different tokens never share a schema."""

    file: FoundFile
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files that make one schema."""

    name: str
    files: tuple[FoundFile, ...]
    folder: str
    """The folder that a second schema of the same name is qualified with."""
    hive: bool = False


def group(shaped: Iterable[Shaped]) -> tuple[Group, ...]:
    """All schemas of the files, in path order, with distinct names."""
    places: dict[tuple[str, bool], list[Shaped]] = defaultdict(list)
    for each in sorted(shaped, key=lambda one: one.file.path):
        folder, hive = _place(each.file)
        places[folder, hive].append(each)
    found = [made for (folder, hive), files in places.items() for made in _of_folder(folder, files, hive=hive)]
    return _distinct(sorted(found, key=lambda made: made.files[0].path))


def free_name(wanted: str, folder: str, taken: Iterable[str]) -> str:
    """`wanted`, or with its folder in front, or also numbered: the first that nobody has."""
    used = {name.casefold() for name in taken}
    long = f"{Path(folder).name}.{wanted}"
    numbered = (f"{long}.{number}" for number in range(2, len(used) + 3))
    return next(name for name in (wanted, long, *numbered) if name.casefold() not in used)


def partition_keys(file: FoundFile) -> tuple[str, ...]:
    """The keys of the `key=value` folders between the file and the folder of its schema, outermost first."""
    keys: list[str] = []
    for part in reversed(Path(file.folder).parts):
        if "=" not in part:
            break
        keys.insert(0, part.split("=", 1)[0])
    return tuple(keys)


def _place(file: FoundFile) -> tuple[str, bool]:
    folder = Path(file.folder)
    while "=" in folder.name:
        folder = folder.parent
    return str(folder), str(folder) != file.folder


def _of_folder(folder: str, files: Sequence[Shaped], *, hive: bool) -> Iterator[Group]:
    if hive:
        yield from _partitioned(folder, files)
        return
    rest = list(files)
    is_root = folder == files[0].file.root
    if is_root or not _is_one_shape(rest):
        for name, siblings in _siblings(rest):
            yield Group(name=name, files=tuple(each.file for each in siblings), folder=folder)
            rest = [each for each in rest if each not in siblings]
    if len(rest) == len(files) and _is_one_shape(rest):
        yield Group(name=Path(folder).name or "files", files=tuple(each.file for each in rest), folder=folder)
        return
    for each in rest:
        yield Group(name=each.file.stem or "file", files=(each.file,), folder=folder)


def _partitioned(folder: str, files: Sequence[Shaped]) -> Iterator[Group]:
    shapes: dict[tuple[str, tuple[str, ...]], list[FoundFile]] = defaultdict(list)
    for each in files:
        shapes[each.shape, partition_keys(each.file)].append(each.file)
    for number, members in enumerate(shapes.values()):
        name = Path(folder).name or "files"
        name = name if number == 0 else f"{name}.{members[0].stem}"
        yield Group(name=name, files=tuple(members), folder=folder, hive=True)


def _is_one_shape(files: Sequence[Shaped]) -> bool:
    return len(files) > 1 and len({each.shape for each in files}) == 1


def _siblings(files: Sequence[Shaped]) -> Iterator[tuple[str, list[Shaped]]]:
    families: dict[tuple[str, str], list[Shaped]] = defaultdict(list)
    for each in files:
        match = _NUMBERED.match(each.file.stem)
        name = match["stem"].rstrip(" ._-") if match else ""
        if name.casefold() not in _MEANINGLESS:
            families[name, each.shape].append(each)
    for (name, _), members in families.items():
        if len(members) > 1:
            yield name, members


def _distinct(groups: Iterable[Group]) -> tuple[Group, ...]:
    named: list[Group] = []
    for each in groups:
        name = free_name(each.name, each.folder, (made.name for made in named))
        named.append(Group(name=name, files=each.files, folder=each.folder, hive=each.hive))
    return tuple(named)
