"""Which files make one schema, and what it is called."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.duckdb.files import FoundFile
from sources.duckdb.files import stem
from sources.duckdb.files_grouping import Shaped
from sources.duckdb.files_grouping import group
from sources.duckdb.files_grouping import partition_keys

ROOT = "/data/shop"


def shaped(path: str, shape: str = "parquet one") -> Shaped:
    file = FoundFile(path=f"{ROOT}/{path}", root=ROOT, format="parquet", packed=False, size_bytes=1)
    return Shaped(file=file, shape=shape)


def schemas(*files: Shaped) -> dict[str, int]:
    return {made.name: len(made.files) for made in group(files)}


def test_a_file_is_a_schema_named_by_its_stem() -> None:
    assert schemas(shaped("orders.parquet", "a"), shaped("customers.parquet", "b")) == {"orders": 1, "customers": 1}


def test_a_folder_of_one_shape_is_one_schema_named_after_the_folder() -> None:
    assert schemas(shaped("events/a.parquet"), shaped("events/b.parquet")) == {"events": 2}


def test_a_folder_of_two_shapes_is_no_schema_of_its_own() -> None:
    assert schemas(shaped("events/a.parquet", "a"), shaped("events/b.parquet", "b")) == {"a": 1, "b": 1}


def test_a_single_file_in_a_folder_keeps_its_own_name() -> None:
    assert schemas(shaped("events/a.parquet")) == {"a": 1}


def test_numbered_siblings_are_one_schema_beside_files_of_other_shapes() -> None:
    files = [shaped(f"flights_2013_{month:02}.parquet", "f") for month in range(1, 13)]
    assert schemas(*files, shaped("airlines.parquet", "a")) == {"flights": 12, "airlines": 1}


def test_numbered_siblings_of_different_shapes_stay_apart() -> None:
    assert schemas(shaped("x_1.parquet", "a"), shaped("x_2.parquet", "b")) == {"x_1": 1, "x_2": 1}


def test_numbered_parts_without_a_telling_stem_are_named_after_their_folder() -> None:
    assert schemas(shaped("part-0001.parquet"), shaped("part-0002.parquet")) == {"shop": 2}


def test_days_as_names_are_one_schema_named_after_the_folder() -> None:
    assert schemas(shaped("logs/2026-01-01.parquet"), shaped("logs/2026-01-02.parquet")) == {"logs": 2}


def test_hive_partitions_belong_to_the_nearest_folder_without_an_equals_sign() -> None:
    one, two = shaped("sales/year=2023/m=1/p.parquet"), shaped("sales/year=2024/m=2/p.parquet")
    (made,) = group([one, two])
    assert (made.name, made.hive, len(made.files)) == ("sales", True, 2)
    assert partition_keys(one.file) == ("year", "m")


def test_the_second_of_two_equal_names_gets_its_folder_in_front() -> None:
    assert schemas(shaped("a/orders.parquet", "a"), shaped("b/Orders.parquet", "b")) == {"orders": 1, "b.Orders": 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", "a"), ("a.b.csv.gz", "a.b"), ("a.json.zst", "a"), ("x.PARQUET", "x"), ("odd.name", "odd.name")],
)
def test_a_stem_has_no_data_suffix(name: str, expected: str) -> None:
    assert stem(name) == expected


paths = st.lists(st.sampled_from(["a", "A", "b", "x_1", "x_2", "y=1", "part-1", "part-2"]), min_size=1, max_size=4).map(
    lambda parts: f"{PurePosixPath(*parts)}.parquet"
)


@given(st.dictionaries(paths, st.sampled_from(["s", "t"]), max_size=12))
def test_every_file_is_in_exactly_one_schema_and_names_differ_even_when_case_is_ignored(files: dict[str, str]) -> None:
    made = group([shaped(path, shape) for path, shape in files.items()])
    assert sorted(file.path for each in made for file in each.files) == sorted(f"{ROOT}/{path}" for path in files)
    names = [each.name.casefold() for each in made]
    assert len(names) == len(set(names))
    assert all(len({files[file.path.removeprefix(f"{ROOT}/")] for file in each.files}) == 1 for each in made)


@given(st.dictionaries(paths, st.sampled_from(["s", "t"]), max_size=12), st.randoms(use_true_random=False))
def test_the_order_in_which_files_are_met_changes_nothing(files: dict[str, str], random: object) -> None:
    listed = [shaped(path, shape) for path, shape in files.items()]
    mixed = sorted(listed, key=lambda each: hash((str(random), each.file.path)))
    assert group(mixed) == group(listed)
