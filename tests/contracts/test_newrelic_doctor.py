"""The doctor of New Relic tells what holds and what does not, in time, and shows others nothing of whose it is."""

import json
import time
from collections.abc import AsyncGenerator
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from server.doctor_newrelic import ExaminedNewRelic
from server.doctor_newrelic import as_object
from server.doctor_newrelic import as_text
from server.doctor_newrelic import doctor_newrelic
from server.doctor_newrelic import examine_newrelic
from server.settings import read_settings
from server.simulator.accounts import Account
from server.simulator.faults import Errors
from server.simulator.faults import Hang
from server.simulator.faults import Script
from sources.nrdb.local import LocalNrdb
from tests.nerdgraph_server import Simulated
from tests.nerdgraph_server import simulated

pytestmark = pytest.mark.anyio

_NAME = "Zebra Holdings"
_TYPE = "ZebraPurchase"
_ATTRIBUTE = "zebraPrice"
_ID = 7_654_321


@pytest.fixture(scope="module")
def nrdb() -> Iterator[LocalNrdb]:
    rows = (
        f'SELECT TIMESTAMP \'2026-01-01\' - INTERVAL 30 SECOND * i AS "timestamp", i * 1.5 AS "{_ATTRIBUTE}", '
        '\'zebra-\' || i AS "zebraName", true AS "isZebra" FROM range(400) t(i)'
    )
    found = LocalNrdb(tables={_TYPE: rows, "ZebraRefund": rows})
    yield found
    found.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Otherwise:
    """Rows that some statements are answered from in another shape than UDS expects."""

    nrdb: LocalNrdb
    changed: Callable[[str, dict[str, Any]], Mapping[str, Any]]

    def run(self, text: str) -> Mapping[str, Any]:
        return self.changed(text, self.nrdb.run(text))

    def event_types(self) -> tuple[str, ...]:
        return self.nrdb.event_types()


@asynccontextmanager
async def zebra(nrdb: Any, *, script: Script = ()) -> AsyncGenerator[Simulated]:
    accounts = [Account(id=_ID + n, nrdb=nrdb, name=_NAME, data_plus=n == 0, entities=()) for n in (0, 1)]
    async with simulated(accounts, script=script) as far:
        yield far


async def _examined(far: Simulated, *accounts: int, key: str = "", within_s: float = 28.0) -> ExaminedNewRelic:
    return await examine_newrelic(region=far.url, key=key or far.key, accounts=accounts, within_s=within_s)


def _for_others(examined: ExaminedNewRelic) -> tuple[str, str]:
    text = as_text(examined).partition("--- for you only")[0]
    return text, json.dumps(json.loads(as_object(examined))["for_a_report"])


async def test_what_the_simulator_does_is_what_uds_takes_for_granted(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb) as far:
        examined = await _examined(far, _ID, _ID + 1)
    assert [finding for finding in examined.findings if finding.status == "differs"] == []
    assert sum(finding.status == "confirmed" for finding in examined.findings) >= 30
    assert examined.ok
    assert examined.took_s < 28


async def test_an_account_with_the_lowest_of_numbers_is_not_taken_for_somebody_elses(nrdb: LocalNrdb) -> None:
    accounts = [Account(id=number, nrdb=nrdb, entities=()) for number in (1, 2)]
    async with simulated(accounts) as far:
        examined = await _examined(far, 1)
    assert [finding.name for finding in examined.findings if finding.status == "differs"] == []


async def test_what_may_be_pasted_names_nothing_of_the_owner(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb) as far:
        found = [
            await _examined(far, _ID, _ID + 1),
            await _examined(far, 99),
            await _examined(far, _ID, key="NRAK-OTHER"),
        ]
        secrets = ("zebra", str(_ID), str(_ID + 1), far.key, far.url.split("/")[2], "NRAK-OTHER")
    for examined in found:
        for text in _for_others(examined):
            assert [secret for secret in secrets if secret in text.lower() or secret in text] == []
        assert "NRAK" not in as_text(examined).replace("NRAK-)", "")
    assert f"* {_ID}  {_NAME}" in as_text(found[0])


async def test_an_answer_of_another_shape_is_told_with_what_was_expected(nrdb: LocalNrdb) -> None:
    def changed(text: str, container: dict[str, Any]) -> Mapping[str, Any]:
        if "keyset()" in text:
            return container | {"results": [{"keyset": ["a", _ATTRIBUTE]}]}
        if "apdex" in text:
            return container | {"results": [{"apdex": 0.9, _ATTRIBUTE: 1}]}
        return container

    async with zebra(_Otherwise(nrdb=nrdb, changed=changed)) as far:
        examined = await _examined(far, _ID)
    differing = {finding.name: finding.seen for finding in examined.findings if finding.status == "differs"}
    assert differing == {"keyset()": "[{keyset: [string]}]", "apdex(a, t: n)": "[{(other): number, apdex: number}]"}
    text, _ = _for_others(examined)
    assert "DIFFERS keyset()" in text
    assert "expected: [{key: string, type: string}]" in text


async def test_without_rows_there_is_nothing_to_judge_by() -> None:
    empty = LocalNrdb(tables={_TYPE: 'SELECT now() AS "timestamp" WHERE false'}, fit=False)
    try:
        async with zebra(empty) as far:
            examined = await _examined(far, _ID)
    finally:
        empty.close()
    told = {finding.name: finding.status for finding in examined.findings}
    assert told["FACET eventType() over several types"] == "not available"
    assert told["an unknown event type"] == "confirmed"


async def test_a_new_relic_that_hangs_is_given_up_in_time(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb, script=lambda request: Hang() if request.number > 3 else None) as far:
        began_s = time.perf_counter()
        examined = await _examined(far, _ID, within_s=2.0)
    assert time.perf_counter() - began_s < 10
    assert {finding.status for finding in examined.findings[1:]} == {"not available"}
    assert "no time was left" in {finding.seen for finding in examined.findings}


async def test_what_new_relic_says_when_it_refuses_is_for_the_operator_only(nrdb: LocalNrdb) -> None:
    refused = Errors(message="Access denied for Zebra", error_class="ACCESS_DENIED")
    async with zebra(nrdb, script=lambda request: refused if request.number > 3 else None) as far:
        examined = await _examined(far, _ID)
    assert "Zebra" not in "".join(_for_others(examined))
    assert "Access denied for Zebra" in as_text(examined)


async def test_a_key_without_an_account_lists_those_it_may_query(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb) as far:
        examined = await _examined(far)
    assert examined.accounts == ((_ID, _NAME), (_ID + 1, _NAME))
    assert "set NEW_RELIC_ACCOUNT_ID to one of them" in as_text(examined)
    assert not examined.ok


async def test_an_account_that_is_none_of_the_keys_is_named(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb) as far:
        examined = await _examined(far, _ID, 99)
    assert "! 99 of NEW_RELIC_ACCOUNT_ID is none of them" in as_text(examined)
    assert not examined.ok


async def test_a_key_that_is_not_accepted_is_told_with_what_to_do(nrdb: LocalNrdb) -> None:
    async with zebra(nrdb) as far:
        examined = await _examined(far, _ID, key="NRAK-OTHER")
    assert not examined.ok
    assert "must be a user key" in as_text(examined)


def test_a_key_that_is_not_set_is_told_with_where_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_newrelic(read_settings({}), as_json=False) != 0
    assert "NEW_RELIC_API_KEY is not set" in capsys.readouterr().out
