"""Entities, intake and past queries, as NerdGraph tells them: read exactly, and of this account only."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.abilities import Loss
from sources.errors import AccessDenied
from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic.asked_before import KEPT_S
from sources.newrelic.asked_before import AskedBefore
from sources.newrelic.asked_before import counted
from sources.newrelic.asked_before import familiar
from sources.newrelic.asking import Asking
from sources.newrelic.catalogue import Catalogue
from sources.newrelic.entities import Guid
from sources.newrelic.entities import decoded
from sources.newrelic.entities import guids_named
from sources.newrelic.losses import bytes_by_kind
from sources.newrelic.losses import intake
from sources.newrelic.losses import losses
from sources.newrelic.window import Window
from sources.newrelic.window import window_until
from sources.nrql.parse import parse
from sources.protocol import Progress
from sources.protocol import silent

ACCOUNT = 7
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    container: Mapping[str, Any]
    took_ms: float = 5.0
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Graph:
    """Answers GraphQL page by page, and NRQL by event type."""

    pages: list[Mapping[str, Any] | SourceError] = field(default_factory=list[Mapping[str, Any] | SourceError])
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    variables: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    texts: list[str] = field(default_factory=list[str])
    now_s: float = 1_700_000_000.0

    async def nrql(
        self,
        account: int,
        text: str,
        *,
        within_s: float,
        stats: bool = True,
        whole: bool = True,
        lasting: bool = False,
        progress: Progress = silent,
    ) -> Answer:
        assert (account, within_s > 0, stats, whole, lasting) == (ACCOUNT, True, True, True, False)
        progress(1, "")
        self.texts.append(text)
        rows = next(rows for name, rows in self.rows.items() if name in text)
        return Answer(container={"results": rows, "rawResponse": {"performanceStats": {"inspectedCount": 10}}})

    async def graphql(
        self, text: str, variables: Mapping[str, Any] | None = None, *, within_s: float
    ) -> Mapping[str, Any]:
        assert text
        assert within_s > 0
        self.variables.append(dict(variables or {}))
        page = self.pages[len(self.variables) - 1]
        if isinstance(page, SourceError):
            raise page
        return page

    def asking(self) -> Asking:
        def window() -> Window:
            return window_until(self.now_s, 3_600)

        def clock() -> float:
            return self.now_s

        catalogue = Catalogue(graph=self, account=ACCOUNT, source="newrelic", window=window, clock=clock)
        return Asking(graph=self, account=ACCOUNT, source="newrelic", catalogue=catalogue, window=window, clock=clock)


def found(*entities: Mapping[str, Any], following: str | None = None) -> Mapping[str, Any]:
    return {"actor": {"entitySearch": {"results": {"entities": list(entities), "nextCursor": following}}}}


def entity(guid: str, name: str = "Shop", account: int | None = ACCOUNT, *, reporting: bool = True) -> dict[str, Any]:
    return {"guid": guid, "name": name, "accountId": account, "domain": "APM", "type": "X", "reporting": reporting}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="|"), min_size=1, max_size=9)


@given(st.integers(0, 10**12), FIELD, FIELD, st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_guid_says_what_went_into_it(account: int, domain: str, kind: str, own: str) -> None:
    guid = encoded(f"{account}|{domain}|{kind}|{own}")
    assert decoded(guid) == Guid(account=account, domain=domain, type=kind, id=own)


@given(st.text(max_size=40) | st.binary(max_size=30).map(lambda raw: base64.b64encode(raw).decode()))
def test_no_text_breaks_the_reading_of_a_guid(text: str) -> None:
    guid = decoded(text)
    assert guid is None or guid.account >= 0


NO_GUIDS = ["", "7|APM|APPLICATION|1", encoded("7|APM|APPLICATION"), encoded("x|A|B|1"), "A" * 999]


@pytest.mark.parametrize("text", NO_GUIDS)
def test_what_is_no_guid_is_none(text: str) -> None:
    assert decoded(text) is None


@pytest.mark.anyio
async def test_entities_of_a_name_come_from_all_pages_and_this_account_only() -> None:
    graph = Graph(
        pages=[
            found(entity("b"), entity("c", account=8), entity("d", "Shop 2"), following="more"),
            found(entity("a", reporting=False), entity(encoded("7|APM|X|1"), account=None), {"guid": 7, "name": None}),
        ]
    )
    entities = await guids_named(graph.asking(), "Shop")
    assert [each.guid for each in entities] == [encoded("7|APM|X|1"), "b", "a"]
    assert [each["cursor"] for each in graph.variables] == [None, "more"]


@pytest.mark.anyio
async def test_a_name_cannot_say_more_than_a_name() -> None:
    graph = Graph(pages=[found()])
    assert await guids_named(graph.asking(), "x' OR name LIKE '%") == ()
    assert graph.variables[0]["query"] == r"name = 'x\' OR name LIKE \'%'"


@pytest.mark.anyio
async def test_endless_pages_end() -> None:
    graph = Graph(pages=[found(entity(f"g{number}"), following=f"c{number}") for number in range(50)])
    assert len(await guids_named(graph.asking(), "Shop")) == len(graph.variables) == 5


@pytest.mark.anyio
async def test_intake_tells_losses_and_bytes_of_one_window() -> None:
    graph = Graph(
        rows={
            "NrIntegrationError": [
                {"facet": ["RateLimit", "metrics per minute", "too many"], "count": 3},
                {"facet": ["BadRequest", None, "not\x00 JSON"], "count": 40},
                {"facet": ["Nothing", None, None], "count": 0},
            ],
            "NrConsumption": [
                {"facet": "LoggingBytes", "usageMetric": "LoggingBytes", "sum.GigabytesIngested": 0.5},
                {"facet": "MetricsBytes", "usageMetric": "MetricsBytes", "sum.GigabytesIngested": 1.25},
            ],
        }
    )
    told = await intake(graph.asking(), within_s=5)
    assert told.losses == (
        Loss(category="BadRequest", limit=None, message="not JSON", reports=40),
        Loss(category="RateLimit", limit="metrics per minute", message="too many", reports=3),
    )
    assert list(told.bytes_by_kind.items()) == [("MetricsBytes", 1_250_000_000), ("LoggingBytes", 500_000_000)]
    assert told.provenance.queries == tuple(graph.texts)
    assert all(f"SINCE {1_699_999_980_000 - 3_600_000} UNTIL 1699999980000" in text for text in graph.texts)
    assert [parse(text) is not None for text in graph.texts] == [True, True]


@given(
    st.dictionaries(
        st.just("results"), JSON | st.lists(st.dictionaries(st.sampled_from(["facet", "count", "x"]), JSON))
    )
)
def test_no_answer_breaks_the_intake(container: dict[str, Any]) -> None:
    assert all(each.reports > 0 for each in losses(container))
    assert all(taken >= 0 for taken in bytes_by_kind(container).values())


def asked(*queries: tuple[object, object]) -> Mapping[str, Any]:
    return {"actor": {"queryHistory": {"nrql": [{"accountIds": ids, "query": text} for ids, text in queries]}}}


HISTORY = asked(
    ([ACCOUNT], "SELECT count(*) FROM Transaction"),
    ([ACCOUNT, 8], "from Transaction, Log select count(*) facet x"),
    ([ACCOUNT], "SELECT max(c) FROM (SELECT count(*) AS c FROM Span FACET x)"),
    ([8], "SELECT count(*) FROM Secret"),
    (None, "SELECT count(*) FROM Secret"),
    ([ACCOUNT], "SELECT oops("),
    ([ACCOUNT], None),
)


def test_past_queries_count_by_event_type() -> None:
    assert counted(HISTORY, ACCOUNT) == {"Transaction": 2, "Log": 1, "Span": 1}


@given(JSON | st.fixed_dictionaries({"actor": st.fixed_dictionaries({"queryHistory": JSON})}))
def test_no_history_breaks_the_counting(answer: Any) -> None:
    assert counted(answer, ACCOUNT) == {}


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [AccessDenied("not yours"), SourceUnreachable("gone")])
async def test_a_history_that_cannot_be_had_is_empty(fault: SourceError) -> None:
    assert await familiar(Graph(pages=[fault]).asking()) == {}


@pytest.mark.anyio
async def test_past_queries_are_asked_for_once_in_ten_minutes() -> None:
    graph = Graph(pages=[HISTORY, asked()])
    before = AskedBefore(graph.asking())
    first = [await before.familiar(), await before.familiar()]
    assert (first[0], len(graph.variables)) == (first[1], 1)
    graph.now_s += KEPT_S
    assert (await before.familiar(), len(graph.variables)) == ({}, 2)
