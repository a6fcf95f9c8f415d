"""The words a source offers for ranking: few, short, clean, frequent first, and nothing where there is no text."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest

from sources.duckdb.source import DuckDBSource
from sources.errors import SourceUnreachable
from sources.errors import UnknownSchema

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(*paths: Path) -> AsyncGenerator[DuckDBSource]:
    source = DuckDBSource(paths=paths)
    try:
        async with asyncio.timeout(30):
            yield source
    finally:
        await source.aclose()


def written(path: Path, select: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


async def words_of(path: Path) -> dict[str, tuple[str, ...]]:
    async with opened(path) as source:
        return {each.attribute: each.values for each in await source.vocabulary(path.stem)}


async def test_text_attributes_give_their_most_frequent_values_first(tmp_path: Path) -> None:
    path = written(
        tmp_path / "shop.parquet",
        "SELECT i AS id, CASE WHEN i % 3 = 0 THEN 'Tea' ELSE 'Coffee' END AS value, "
        "'item ' || i AS place, 'on'::ENUM('on', 'off') AS state FROM range(100) AS t(i)",
    )
    found = await words_of(path)
    assert found["value"] == ("Coffee", "Tea")
    assert found["state"] == ("on",)
    assert len(found["place"]) == 40
    assert "id" not in found


async def test_long_texts_numbers_blanks_and_control_characters_are_left_out(tmp_path: Path) -> None:
    path = written(
        tmp_path / "odd.parquet",
        "SELECT unnest(['x' || chr(7) || 'y', ' Palm' || chr(10) || 'Cove ', '123', '', NULL, repeat('a', 41)]) AS t",
    )
    assert sorted((await words_of(path))["t"]) == ["Palm Cove", "xy"]


async def test_a_schema_without_text_or_rows_has_no_words(tmp_path: Path) -> None:
    assert await words_of(written(tmp_path / "n.parquet", "SELECT 1 AS a, 2.5 AS b")) == {}
    assert await words_of(written(tmp_path / "e.parquet", "SELECT 'x' AS a WHERE false")) == {}


async def test_only_the_first_rows_are_looked_at(tmp_path: Path) -> None:
    path = written(
        tmp_path / "long.parquet",
        "SELECT CASE WHEN i < 10000 THEN 'early' ELSE 'late' END AS t FROM range(20000) AS t(i) ORDER BY i",
    )
    assert (await words_of(path))["t"] == ("early",)


async def test_a_schema_that_does_not_exist_or_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    async with opened(tmp_path) as source:
        with pytest.raises(UnknownSchema):
            await source.vocabulary("nowhere")
        with pytest.raises(SourceUnreachable):
            await source.vocabulary("broken")
