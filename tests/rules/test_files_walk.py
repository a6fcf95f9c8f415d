"""What a walk over configured paths takes and leaves."""

import os
import time
from pathlib import Path

import pytest

from sources.duckdb.files import DEEPEST_FOLDERS
from sources.duckdb.files import find
from sources.duckdb.files_stamp import stamp
from sources.duckdb.files_stamp import token


def test_hidden_temporary_and_other_files_are_ignored_and_counted(tmp_path: Path) -> None:
    for name in ("a.csv", ".hidden.csv", "_SUCCESS", "a.csv.tmp", "b.csv~", "readme.md", "~lock.csv"):
        (tmp_path / name).write_text("a\n1\n")
    found = find((tmp_path,))
    assert [file.relative for file in found.files] == ["a.csv"]
    assert found.ignored == 6


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.csv").write_text("a\n1\n")
    (inside / "own.csv").write_text("a\n1\n")
    try:
        (inside / "link.csv").symlink_to(outside / "secret.csv")
        (inside / "folder").symlink_to(outside, target_is_directory=True)
        (inside / "loop").symlink_to(inside, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make links")
    assert [file.relative for file in find((inside,)).files] == ["own.csv"]


def test_folders_that_are_too_deep_are_left_out_and_said_so(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*(f"d{level}" for level in range(DEEPEST_FOLDERS + 1)))
    deep.mkdir(parents=True)
    (deep / "a.csv").write_text("a\n1\n")
    found = find((tmp_path,))
    assert found.files == ()
    assert found.cut


def test_the_first_bytes_tell_a_store_from_a_file_that_only_has_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\x00" + bytes(100))
    (tmp_path / "y.db").write_bytes(bytes(8) + b"DUCK" + bytes(100))
    (tmp_path / "z.db").write_bytes(b"something else entirely")
    assert [(file.relative, file.format) for file in find((tmp_path,)).files] == [
        ("x.db", "sqlite"),
        ("y.db", "duckdb"),
    ]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert find((tmp_path / "nowhere",)).missing == (str(tmp_path / "nowhere"),)


def test_a_rewrite_in_place_changes_the_stamp_even_when_size_and_mtime_are_restored(tmp_path: Path) -> None:

    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    before, times = stamp(str(path)), path.stat()
    deadline = time.monotonic() + 5
    while stamp(str(path)) == before and time.monotonic() < deadline:
        path.write_text("a\n2\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = stamp(str(path))
    assert after is not None
    assert before is not None
    assert after[:3] == before[:3]
    assert token(after) != token(before)
