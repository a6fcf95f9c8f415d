"""Which data files there are under the configured paths: found by suffix, bounded, never opened beyond 16 bytes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Literal

from sources.duckdb.files_stamp import folder_stamp
from sources.duckdb.files_stamp import stamp

FileFormat = Literal["parquet", "csv", "json", "duckdb", "sqlite"]

MOST_FILES: Final = 20_000
DEEPEST_FOLDERS: Final = 12
"""Levels below a configured folder that are looked into."""

_SUFFIXES: Final[dict[str, FileFormat]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".duckdb": "duckdb",
    ".db": "duckdb",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}
_PACKED: Final = (".gz", ".zst")
_TEMPORARY: Final = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".swp", ".bak", "~")
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file that may hold rows."""

    path: str
    """Absolute."""
    root: str
    """The configured folder it was found under, or its own folder when it was named itself."""
    format: FileFormat
    packed: bool
    size_bytes: int

    @property
    def relative(self) -> str:
        """The path below `root`, with forward slashes."""
        return Path(os.path.relpath(self.path, self.root)).as_posix()

    @property
    def folder(self) -> str:
        """The folder it lies in."""
        return str(Path(self.path).parent)

    @property
    def stem(self) -> str:
        """Its name without data suffixes: `a.b` of `a.b.csv.gz`."""
        return stem(Path(self.path).name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a walk over the configured paths met."""

    files: tuple[FoundFile, ...]
    """Sorted by path."""
    folders: tuple[tuple[str, int | None], ...]
    """Every folder that was looked into, with its stamp from just before: a change means files came or went."""
    ignored: int
    """Files of other kinds, hidden and temporary ones included."""
    missing: tuple[str, ...]
    """Configured paths that do not exist or cannot be read."""
    cut: bool
    """More than `MOST_FILES` files or folders deeper than `DEEPEST_FOLDERS` were left out."""


@dataclass(slots=True)
class _Walk:
    files: dict[str, FoundFile]
    folders: dict[str, int | None]
    missing: list[str]
    ignored: int = 0
    cut: bool = False

    def take(self, path: str, root: str, *, named: bool = False) -> None:
        known = _format(path) if named or not _is_hidden(Path(path).name) else None
        if known is None:
            self.ignored += 1
        elif len(self.files) >= MOST_FILES:
            self.cut = True
        else:
            packed = path.lower().endswith(_PACKED)
            found = stamp(path)
            size_bytes = 0 if found is None else found[1]
            self.files[path] = FoundFile(path=path, root=root, format=known, packed=packed, size_bytes=size_bytes)


def find(paths: tuple[Path, ...]) -> Found:
    """Walk the configured files and folders; links that lead out of their folder are not followed."""
    walk = _Walk({}, {}, [])
    for path in paths:
        absolute = place_of(path)
        if absolute.is_dir():
            _walk_folder(walk, str(absolute), str(absolute), 0)
        elif absolute.is_file():
            walk.take(str(absolute), str(absolute.parent), named=True)
        else:
            walk.missing.append(str(absolute))
    files = tuple(walk.files[path] for path in sorted(walk.files))
    return Found(
        files=files,
        folders=tuple(walk.folders.items()),
        ignored=walk.ignored,
        missing=tuple(walk.missing),
        cut=walk.cut,
    )


def place_of(path: Path) -> Path:
    """A configured path as it is looked at: absolute, and still the link when it is one."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  # resolve() would lose the name of a link


def stem(name: str) -> str:
    """The name of a file without its data and packing suffixes."""
    short = name[: -len(Path(name).suffix)] if name.lower().endswith(_PACKED) else name
    suffix = Path(short).suffix
    return short[: -len(suffix)] if suffix.lower() in _SUFFIXES else short


def _walk_folder(walk: _Walk, folder: str, root: str, depth: int) -> None:
    walk.folders[folder] = folder_stamp(folder)
    for entry in _entries(walk, folder):
        if entry.is_dir() and _stays_inside(entry, root) and not _is_hidden(entry.name):
            if depth >= DEEPEST_FOLDERS or len(walk.files) >= MOST_FILES or len(walk.folders) >= MOST_FILES:
                walk.cut = True
            else:
                _walk_folder(walk, entry.path, root, depth + 1)
        elif entry.is_file() and _stays_inside(entry, root):
            walk.take(entry.path, root)


def _entries(walk: _Walk, folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError:
        walk.missing.append(folder)


def _stays_inside(entry: os.DirEntry[str], root: str) -> bool:
    """A linked folder could lead in a circle: only linked files inside the root are taken."""
    if not entry.is_symlink():
        return True
    return entry.is_file() and Path(entry.path).resolve().is_relative_to(Path(root).resolve())


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_", "~")) or name.lower().endswith(_TEMPORARY)


def _format(path: str) -> FileFormat | None:
    lower = path.lower()
    inner = lower.removesuffix(".gz").removesuffix(".zst")
    known = _SUFFIXES.get(Path(inner).suffix)
    if inner != lower:
        return known if known in ("csv", "json") else None
    if known in ("duckdb", "sqlite"):
        return _engine_of(path)
    return known


def _engine_of(path: str) -> FileFormat | None:
    """DuckDB and SQLite share suffixes; the first bytes tell. An empty file is a valid, empty SQLite file."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(16)
    except OSError:
        return "duckdb"
    if head[8:12] == b"DUCK":
        return "duckdb"
    return "sqlite" if head == _SQLITE_MAGIC or not head else None
