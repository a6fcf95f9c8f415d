"""What the owners of a database wrote about their tables and columns is shown, and found."""

from pathlib import Path

import duckdb
import pytest
from mcp import Client

from tests.promises.conftest import Serve
from tests.promises.conftest import asking

pytestmark = pytest.mark.anyio


@pytest.fixture
def commented(tmp_path: Path) -> Path:
    place = tmp_path / "shop.duckdb"
    with duckdb.connect(str(place)) as connection:
        connection.execute("CREATE TABLE t_17 (c1 INTEGER, c2 DOUBLE); INSERT INTO t_17 VALUES (1, 2.5)")
        connection.execute("CREATE TABLE t_18 (c1 INTEGER); INSERT INTO t_18 VALUES (1)")
        connection.execute("CREATE VIEW v_1 AS SELECT 1 AS one")
        connection.execute("COMMENT ON TABLE t_17 IS 'Refunds\n paid\u0007 to customers'")
        connection.execute("COMMENT ON COLUMN t_17.c2 IS 'Amount in euros, tax included'")
        connection.execute("COMMENT ON VIEW v_1 IS 'Nothing at all'")
    return place


async def test_comments_are_shown_with_schemas_and_attributes_and_rank_them(serve: Serve, commented: Path) -> None:
    async with serve({"UDS_DATA": str(commented)}) as server, Client(server) as client:
        ask = asking(client)
        listed = {each["schema"]: each for each in (await ask("list_schemas", source="duckdb"))["schemas"]}
        assert listed["t_17"]["meaning"] == "Refunds paid to customers"
        assert listed["v_1"]["meaning"] == "Nothing at all"
        assert "meaning" not in listed["t_18"]
        described = (await ask("describe_schema", schema="t_17"))["attributes"]
        assert [each.get("meaning") for each in described] == [None, "Amount in euros, tax included"]
        found = await ask("list_schemas", search="refund amount", source="duckdb")
        assert [each["schema"] for each in found["schemas"]] == ["t_17"]
