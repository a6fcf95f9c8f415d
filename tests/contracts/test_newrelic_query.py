"""A caller's own NRQL against an account: what is sent, what comes back, and what is said when nothing does.

The account is told statement by statement here, in the shapes of NerdGraph; what a simulated account makes of the same
statements is for the tests over HTTP.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import pytest

from sources.errors import QueryRejected
from sources.errors import QueryTimeout
from sources.errors import SourceUnreachable
from sources.newrelic.asking import Asking
from sources.newrelic.catalogue import Catalogue
from sources.newrelic.query import run
from sources.newrelic.window import Window
from sources.newrelic.window import window_until
from sources.nrql.parse import parse
from sources.protocol import Progress
from sources.protocol import Table
from sources.protocol import silent

pytestmark = pytest.mark.anyio

ACCOUNT = 7
NOW_S = 1_700_000_040.0
WINDOW = "SINCE 1699913640000 UNTIL 1700000040000"
KEYSETS = {
    "Transaction": {"appName": "string", "duration": "numeric", "response.status": "string", "name": "string"},
    "Span": {"entityGuid": "string", "entity.guid": "string", "duration": "numeric"},
    "Log": {"traceId": "string", "trace.id": "string", "level": "string"},
}
Told = list[dict[str, Any]] | dict[str, Any] | Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    container: Mapping[str, Any]
    took_ms: float = 5.0
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Account:
    """Answers each statement by the first rule whose pattern is in it."""

    rules: dict[str, Told] = field(default_factory=dict[str, Told])
    """Regular expression to rows, to a whole container, or to what is raised."""
    entities: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    asked: list[str] = field(default_factory=list[str])
    lasting: list[bool] = field(default_factory=list[bool])
    now_s: float = NOW_S
    takes_s: float = 0.0

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
        assert account == ACCOUNT
        assert within_s > 0
        assert (stats and whole) or not lasting
        progress(1.0, "done")
        if text.startswith("SHOW EVENT TYPES"):
            return Answer(container={"results": [{"eventType": name} for name in KEYSETS]})
        if keyset := re.search(r"keyset\(\) FROM (\w+)", text):
            rows = [{"key": key, "type": kind} for key, kind in KEYSETS[keyset[1]].items()]
            return Answer(container={"results": rows})
        self.asked.append(text)
        self.lasting.append(lasting)
        self.now_s += self.takes_s
        return Answer(container=self._told(text))

    async def graphql(
        self, text: str, variables: Mapping[str, Any] | None = None, *, within_s: float
    ) -> Mapping[str, Any]:
        assert within_s > 0
        if "entitySearch" not in text:
            return {}
        self.asked.append(str((variables or {})["query"]))
        return {"actor": {"entitySearch": {"results": {"nextCursor": None, "entities": self.entities}}}}

    def _told(self, text: str) -> Mapping[str, Any]:
        nothing: Told = []
        told = next((told for pattern, told in self.rules.items() if re.search(pattern, text)), nothing)
        if isinstance(told, Exception):
            raise told
        return {"results": told} if isinstance(told, list) else told

    def asking(self) -> Asking:
        def window() -> Window:
            return window_until(self.now_s, 86_400)

        def clock() -> float:
            return self.now_s

        catalogue = Catalogue(graph=self, account=ACCOUNT, source="newrelic", window=window, clock=clock)
        return Asking(graph=self, account=ACCOUNT, source="newrelic", catalogue=catalogue, window=window, clock=clock)


async def asked(account: Account, text: str, *, limit: int = 100, offset: int = 0, within_s: float = 30) -> Table:
    return await run(account.asking(), text, limit=limit, offset=offset, within_s=within_s)


async def test_what_the_caller_left_open_is_said_in_what_is_sent() -> None:
    account = Account(rules={"count": [{"facet": "shop", "appName": "shop", "count": 3}]})
    table = await asked(account, "select count(*) from Transaction facet appName", limit=20, offset=5)
    assert account.asked == [f"SELECT count(*) FROM Transaction FACET appName LIMIT 26 {WINDOW}"]
    assert table.provenance.queries == (account.asked[0],)
    assert table.provenance.window == "2023-11-13T22:14:00Z to 2023-11-14T22:14:00Z"
    assert table.remarks == ()
    assert (table.repeatable, table.schemas) == (True, ("Transaction",))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM Transaction LIMIT 3 SINCE 1 day ago UNTIL 1 hour ago",
        "SELECT count(*) FROM Transaction SINCE 30 minutes ago",
        "SELECT count(*) FROM Transaction FACET appName SINCE 1 hour ago TIMESERIES 5 minutes",
    ],
)
async def test_what_the_caller_said_stays(text: str) -> None:
    account = Account(rules={"": [{"count": 1}]})
    table = await asked(account, text)
    assert parse(account.asked[0]) == parse(text)
    assert table.remarks == ()


async def test_a_series_of_narrow_buckets_gets_a_window_that_new_relic_can_count() -> None:
    account = Account(rules={"": [{"count": 1}]})
    table = await asked(account, "SELECT count(*) FROM Transaction TIMESERIES 1 minute")
    window = f"SINCE {1_700_000_040_000 - 366 * 60_000} UNTIL 1700000040000"
    assert account.asked == [f"SELECT count(*) FROM Transaction {window} TIMESERIES 1 minute"]
    assert table.remarks[0].startswith("This covers 2023-11-14T16:08:00Z to 2023-11-14T22:14:00Z only")


async def test_pages_are_slices_and_say_whether_more_follows() -> None:
    rows = [{"name": f"n{number}", "timestamp": 1} for number in range(6)]
    account = Account(rules={"LIMIT": rows})
    first = await asked(account, "SELECT name FROM Transaction", limit=5)
    last = await asked(account, "SELECT name FROM Transaction", limit=5, offset=5)
    behind = await asked(account, "SELECT name FROM Transaction", limit=5, offset=10)
    assert (len(first.rows), first.more) == (5, True)
    assert ([row[1] for row in last.rows], last.more) == (["n5"], False)
    assert (behind.rows, behind.diagnosis) == ((), "The query gives 6 rows; nothing is left behind offset 10.")
    assert [re.findall(r"LIMIT \d+", text) for text in account.asked] == [["LIMIT 6"], ["LIMIT 11"], ["LIMIT 16"]]


async def test_more_rows_than_new_relic_gives_are_not_promised() -> None:
    account = Account(rules={"": [{"a": 1}] * 5_000})
    table = await asked(account, "SELECT name FROM Transaction", limit=100, offset=4_900)
    assert "LIMIT 5000 " in account.asked[0]
    assert not table.more
    assert table.remarks[-1].startswith("New Relic gives at most 5,000 rows")


async def test_an_unknown_event_type_is_refused_by_name_and_nothing_is_sent() -> None:
    account = Account()
    with pytest.raises(QueryRejected, match='no events of type "transaction"') as refused:
        await asked(account, "SELECT count(*) FROM transaction")
    assert refused.value.remedy.startswith("Did you mean Transaction?")
    assert account.asked == []


async def test_a_schema_of_a_metric_is_told_how_to_ask() -> None:
    with pytest.raises(QueryRejected, match="is a metric") as refused:
        await asked(Account(), "SELECT count(*) FROM `Metric/cpu.load`")
    assert "WHERE metricName = 'cpu.load'" in refused.value.remedy


@pytest.mark.parametrize(
    "text", ["SELECT count(*) FROM Gone SINCE 3 weeks ago", "SELECT count(*) FROM NrConsumption", "SHOW EVENT TYPES"]
)
async def test_what_the_list_of_event_types_cannot_know_is_asked(text: str) -> None:
    account = Account(rules={"": [{"count": 3}]})
    assert (await asked(account, text)).rows


async def test_a_slip_is_shown_where_it_is_and_not_sent() -> None:
    account = Account()
    with pytest.raises(QueryRejected, match=r"\^") as refused:
        await asked(account, "SELECT count(*) FROM Transaction GROUP BY appName")
    assert "FACET" in refused.value.remedy
    for text in ("DELETE FROM Transaction", "what is this", ""):
        with pytest.raises(QueryRejected):
            await asked(account, text)
    assert account.asked == []


async def test_what_only_new_relic_can_read_is_sent_as_it_stands() -> None:
    text = "SELECT count(*) FROM Transaction WITH FUTURE WORDS 7"
    account = Account(rules={"FUTURE": {"results": [{"count": 4}], "metadata": {"eventTypes": ["Transaction"]}}})
    table = await asked(account, text)
    assert account.asked == [text]
    assert (table.rows, table.schemas, table.repeatable) == (((4,),), ("Transaction",), False)
    assert "went to New Relic as it stands" in table.remarks[0]


async def test_columns_that_new_relic_would_call_the_same_get_names() -> None:
    account = Account(rules={"": [{"count": 1}]})
    text = "SELECT count(*), filter(count(*), WHERE name = 'a'), percentile(duration, 5), percentile(duration, 9)"
    await asked(account, f"{text}, max(duration) - min(duration), if(duration > 1, 'x', 'y') FROM Transaction")
    sent = account.asked[0]
    assert "filter(count(*), WHERE name = 'a') AS 'filter(count(*), WHERE name = a)'" in sent
    assert "percentile(duration, 5), percentile(duration, 9) AS 'percentile(duration, 9)'" in sent
    assert "AS 'max(duration) - min(duration)'" in sent
    assert sent.count(" AS ") == 4


async def test_a_name_of_an_entity_is_looked_up_where_events_have_only_guids() -> None:
    account = Account(
        rules={"": [{"count": 3}]},
        entities=[
            {"guid": "R1VJRDE", "name": "Shop", "accountId": ACCOUNT, "domain": "APM", "type": "APPLICATION"},
            {"guid": "b3RoZXI", "name": "Shop", "accountId": 8, "domain": "APM", "type": "APPLICATION"},
            {"guid": "bGlrZQ", "name": "Shop (old)", "accountId": ACCOUNT, "domain": "APM", "type": "APPLICATION"},
        ],
    )
    table = await asked(account, "SELECT count(*) FROM Span WHERE duration > 1 AND entityName = 'Shop' SINCE 1 day ago")
    search, sent = account.asked
    assert search == "name = 'Shop'"
    assert sent == "SELECT count(*) FROM Span WHERE duration > 1 AND entityGuid IN ('R1VJRDE') SINCE 1 day ago"
    assert table.remarks == (
        "Span has no entityName: 'Shop' was looked up (1 entity: APM APPLICATION) and filtered by entityGuid.",
    )


async def test_a_name_that_events_have_is_not_looked_up() -> None:
    account = Account(rules={"": [{"count": 3}]})
    await asked(account, "SELECT count(*) FROM Transaction WHERE appName = 'Shop' SINCE 1 day ago")
    assert account.asked == ["SELECT count(*) FROM Transaction WHERE appName = 'Shop' SINCE 1 day ago"]


async def test_a_name_nobody_has_is_said_to_be_unknown() -> None:
    account = Account(rules={"": [{"count": 3}]})
    table = await asked(account, "SELECT count(*) FROM Span WHERE appName = 'Shpo' SINCE 1 day ago")
    assert table.remarks == ("Span has no appName, and no entity of this account is called 'Shpo'.",)


async def test_the_condition_that_removes_everything_is_named_with_the_values_there_are() -> None:
    account = Account(
        rules={
            "AS total": [{"total": 1200, "passing": 0, "c0": 300, "c1": 0, "a0": 1200, "a1": 1200}],
            "FACET name": [{"facet": "checkout", "count": 800}, {"facet": "Cart", "count": 400}],
            "": [{"count": 0}],
        }
    )
    table = await asked(account, "SELECT count(*) FROM Transaction WHERE appName = 'a' AND name = 'cart'")
    assert table.diagnosis == (
        "No event passes: `name = 'cart'` alone removes all 1,200 of the window. "
        "Frequent values of `name` are 'Cart', 'checkout'."
    )
    assert [WINDOW in text for text in account.asked] == [True, True, True]
    assert table.provenance.queries == tuple(account.asked)


async def test_conditions_that_only_together_remove_everything_are_counted_alone() -> None:
    account = Account(rules={"AS total": [{"total": 10, "passing": 0, "c0": 3, "c1": 4, "a0": 9, "a1": 9}], "": []})
    table = await asked(account, "SELECT name FROM Transaction WHERE appName = 'a' AND duration > 2")
    assert table.diagnosis == (
        "No event passes all conditions together; alone, of 10 events: `appName = 'a'` keeps 3, `duration > 2` keeps 4."
    )


async def test_conditions_that_events_pass_are_not_blamed() -> None:
    account = Account(rules={"AS total": [{"total": 10, "c0": 3, "a0": 9, "a1": 9}], "": [{"max.duration": 0}]})
    table = await asked(account, "SELECT max(duration) FROM Transaction WHERE appName = 'a'")
    assert table.diagnosis == "3 of 10 events pass WHERE; what is selected of them gives this result."
    assert "passing" not in account.asked[1]


async def test_a_condition_that_cannot_be_counted_is_not_taken_for_passed() -> None:
    account = Account(rules={"AS total": [{"total": 10, "c0": 3, "a0": 9, "a1": 9}], "": [{"count": 0}]})
    where = "appName = 'a' AND name IN (SELECT uniques(name) FROM Log)"
    assert (await asked(account, f"SELECT count(*) FROM Transaction WHERE {where}")).diagnosis != (
        "3 of 10 events pass WHERE; what is selected of them gives this result."
    )


async def test_an_empty_window_says_when_the_newest_event_came() -> None:
    account = Account(
        rules={"AS total": [{"total": 0}], r"latest\(timestamp\)": [{"seen": 1_699_000_000_000}], "": [{"count": 0}]}
    )
    table = await asked(account, "SELECT count(*) FROM Log SINCE 1 hour ago")
    assert table.diagnosis is not None
    assert table.diagnosis.startswith(
        "There are no events of Log in this window; the newest came at 2023-11-03T08:26:40Z: say SINCE to reach it."
    )
    assert f"SINCE {int(NOW_S * 1000) - 30 * 86_400_000}" in account.asked[-1]


async def test_an_attribute_that_holds_nothing_is_told_beside_its_twin() -> None:
    account = Account(
        rules={"AS total": [{"total": 4765, "passing": 0, "c0": 0, "a0": 0, "a1": 4765}], "": [{"count": 0}]}
    )
    table = await asked(account, "SELECT count(*) FROM Log WHERE trace.id IS NOT NULL")
    assert table.diagnosis is not None
    assert "`trace.id` is listed but has no value in any of these 4,765 events; `traceId` has 4,765." in table.diagnosis


async def test_a_twin_that_nobody_asked_about_is_not_told() -> None:
    account = Account(rules={"AS total": [{"total": 9, "passing": 0, "c0": 0, "a0": 9, "a1": 0}], "": [{"count": 0}]})
    table = await asked(account, "SELECT count(*) FROM Log WHERE traceId LIKE 'x%'")
    assert table.diagnosis == "No event passes: `traceId LIKE 'x%'` alone removes all 9 of the window."


async def test_two_empty_twins_are_told_without_a_better_one() -> None:
    account = Account(rules={"AS total": [{"total": 9, "passing": 0, "c0": 0, "a0": 0, "a1": 0}], "": [{"count": 0}]})
    table = await asked(account, "SELECT count(*) FROM Log WHERE trace.id LIKE 'x%'")
    assert table.diagnosis is not None
    assert table.diagnosis.endswith("`trace.id` is listed but has no value in any of these 9 events.")


async def test_an_unknown_attribute_and_a_number_against_text_are_told_when_nothing_comes() -> None:
    account = Account(rules={"AS total": [{"total": 50, "passing": 0, "c0": 0, "a0": 50}], "": [{"count": 0}]})
    unknown = await asked(account, "SELECT count(*) FROM Transaction WHERE durration > 2")
    assert unknown.diagnosis is not None
    assert "durration" in unknown.diagnosis
    assert "duration" in unknown.diagnosis.replace("durration", "")
    text = await asked(account, "SELECT count(*) FROM Transaction WHERE response.status >= 500")
    assert text.diagnosis is not None
    assert "numeric(response.status)" in text.diagnosis


async def test_values_that_are_there_are_not_explained() -> None:
    account = Account(rules={"": [{"count": 3, "max.duration": 0}]})
    table = await asked(account, "SELECT count(*), max(duration) FROM Transaction")
    assert (table.diagnosis, len(account.asked)) == (None, 1)


async def test_a_column_without_values_is_looked_at_by_name_only() -> None:
    account = Account(rules={"": [{"count": 3, "max.durration": None}]})
    table = await asked(account, "SELECT count(*), max(durration) FROM Transaction")
    assert table.diagnosis is not None
    assert "durration" in table.diagnosis
    assert len(account.asked) == 1


async def test_a_column_that_is_listed_and_empty_is_told_beside_its_twin() -> None:
    account = Account(rules={"AS total": [{"total": 30, "a0": 0, "a1": 30}], "": [{"timestamp": 1}] * 3})
    table = await asked(account, "SELECT trace.id FROM Log WHERE level = 'error'")
    assert len(table.rows) == 3
    assert table.diagnosis == "`trace.id` is listed but has no value in any of these 30 events; `traceId` has 30."
    assert "level = " not in account.asked[1]


async def test_names_of_columns_are_left_out_where_the_statement_would_become_too_long() -> None:
    account = Account(rules={"": [{"count": 1}]})
    counts = ", ".join(f"filter(count(*), WHERE name = 'name number {number}')" for number in range(50))
    await asked(account, f"SELECT {counts} FROM Transaction")
    assert " AS " not in account.asked[0]


@pytest.mark.parametrize("fault", [SourceUnreachable("gone"), QueryTimeout(3)])
async def test_an_explanation_that_cannot_be_had_spoils_nothing(fault: Exception) -> None:
    account = Account(rules={"AS total": fault, "": [{"count": 0}]})
    table = await asked(account, "SELECT count(*) FROM Transaction WHERE name = 'x'")
    assert (table.rows, table.diagnosis) == (((0,),), None)


async def test_nothing_is_explained_when_the_time_is_over() -> None:
    account = Account(rules={"": [{"count": 0}]}, takes_s=29.9)
    table = await asked(account, "SELECT count(*) FROM Transaction WHERE name = 'x'")
    assert (table.rows, len(account.asked)) == (((0,),), 1)


async def test_partial_answers_are_marked() -> None:
    raw = {"performanceStats": {"inspectedCount": 900, "omittedCount": 100, "exceedsRetentionWindow": False}}
    account = Account(rules={"": {"results": [{"count": 900}], "rawResponse": raw}})
    table = await asked(account, "SELECT count(*) FROM Transaction SINCE 1 day ago")
    assert (table.provenance.truncated, table.provenance.rows_inspected) == (True, 900)
    assert table.remarks == ("The answer is partial: NRDB left out 100 events; narrow the window.",)


async def test_long_questions_may_last() -> None:
    account = Account(rules={"": [{"count": 3}]})
    await asked(account, "SELECT count(*) FROM Transaction SINCE 1 hour ago")
    await asked(account, "SELECT count(*) FROM Transaction SINCE 3 weeks ago")
    await asked(account, "SELECT count(*) FROM Transaction SINCE 1 hour ago", within_s=300)
    assert account.lasting == [False, True, True]


async def test_what_new_relic_refuses_is_refused() -> None:
    account = Account(rules={"": QueryRejected("too many buckets")})
    with pytest.raises(QueryRejected, match="too many buckets"):
        await asked(account, "SELECT count(*) FROM Transaction TIMESERIES MAX")
