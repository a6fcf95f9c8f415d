"""What New Relic itself says it lost is told to whoever is about to trust a count."""

from pathlib import Path

import anyio
import pytest
from mcp import Client

from server.mcp_server import build_server
from server.parts import open_parts
from server.settings import read_settings
from server.simulator.accounts import Account
from sources.nrdb.local import LocalNrdb
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_ORDERS = "SELECT i AS id FROM range(50) t(i)"
_LOST = """
    SELECT CASE WHEN i < 7 THEN 'MetricApiLimit' ELSE 'Other' END AS category,
        CASE WHEN i < 7 THEN 'Cardinality per day' END AS limitName, 'rolled up no more' AS message
    FROM range(9) t(i)
"""


@pytest.mark.parametrize("lossy", [True, False])
async def test_a_description_says_what_the_account_lost_in_the_same_request(tmp_path: Path, lossy: bool) -> None:  # noqa: FBT001
    nrdb = LocalNrdb(tables={"Order": _ORDERS, **({"NrIntegrationError": _LOST} if lossy else {})})
    try:
        async with simulated([Account(id=1, nrdb=nrdb)]) as far:
            told = {"NEW_RELIC_API_KEY": far.key, "NEW_RELIC_ACCOUNT_ID": "1", "NEW_RELIC_REGION": far.url}
            settings = read_settings(told | {"STATE_STORE_TYPE": "memory", "UDS_STATE_DIR": str(tmp_path)})
            async with open_parts(settings) as parts, Client(build_server(parts, settings)) as client:
                with anyio.fail_after(30):
                    answer = (await client.call_tool("describe_schema", {"schema": "Order"})).structured_content
                    asked = len(far.received)
                    full = {"schema": "Order", "detail": "full"}
                    assert not (await client.call_tool("describe_schema", full)).is_error
            lost = [text for text in far.statements if "NrIntegrationError" in text]
    finally:
        nrdb.close()
    assert answer is not None
    hints = [hint for hint in answer["hints"] if "dropped or cut" in hint]
    assert len(hints) == lossy
    if lossy:
        assert '"MetricApiLimit", "Cardinality per day": "rolled up no more"' in hints[0]
    assert len(lost) == 1  # kept for the descriptions that follow
    assert asked <= 3
