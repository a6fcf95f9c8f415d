"""The source `newrelic` over an account in memory and the real client: what is asked, in how many requests."""

import asyncio
import json
import re

import httpx
import pytest

from sources.abilities import Familiar
from sources.abilities import Identified
from sources.abilities import Metered
from sources.abilities import Windowed
from sources.duckdb.source import DuckDBSource
from sources.duckdb.source import bundled_sample
from sources.errors import AccessDenied
from sources.errors import SourceUnreachable
from sources.errors import UnknownAttribute
from sources.errors import UnknownSchema
from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from sources.newrelic.source import NewRelicSource
from sources.nrdb.local import LocalNrdb
from sources.protocol import AttributeDescription
from sources.protocol import Description
from sources.protocol import Schema
from sources.protocol import Source
from tests.conftest import ManualClock
from tests.newrelic_account import ACCOUNT
from tests.newrelic_account import KEY
from tests.newrelic_account import NOW_MS
from tests.newrelic_account import NOW_S
from tests.newrelic_account import Account
from tests.newrelic_account import Row
from tests.newrelic_account import asked
from tests.newrelic_account import spread

pytestmark = pytest.mark.anyio

REFUSED = "You are not authorized to query account 1234567"
MISREAD = "NRQL Syntax Error: Error at line 1 position 3, unexpected 'x'"
DAY = "2025-10-08T08:54:00Z to 2025-10-09T08:54:00Z"


def shop() -> Account:
    """A small account: an event type with every kind of attribute, an empty one, and two metrics."""
    transactions = spread(
        1_000,
        lambda number: {
            "appName": ("checkout", "search", "cart")[number % 3],
            "duration": number / 100,
            "http.status": str(200 + number % 3 * 100),
            "error": number % 4 == 0,
            "traceId": f"{number:032x}",
            "retries": -1 if number % 10 == 0 else number % 7,
            **({"trace.id": f"{number:032x}"} if number % 10 == 0 else {}),
            **({"note": ""} if number % 2 == 0 else {}),
            "region": "eu",
        },
    )
    metrics = [
        *spread(
            200, lambda number: {"metricName": "queue.size", "host": f"h{number % 4}", "queue.size": gauge(number)}
        ),
        *spread(
            50, lambda _number: {"metricName": "app.hits", "host": "h0", "app.hits": {"type": "count", "count": 1}}
        ),
    ]
    return Account(
        rows={"Transaction": transactions, "Old": [{"timestamp": NOW_MS - 5 * 86_400_000, "x": 1}], "Metric": metrics},
        hidden={"Transaction": {"ghost": "string", "lost": "numeric"}},
        dictionary=[
            {
                "name": "Transaction",
                "definition": "One [unit](https://docs.example/x) of **work**.\x07",
                "attributes": [
                    {"name": "duration", "definition": "How long it took.", "units": {"label": "seconds"}},
                    {"name": "appName", "definition": "The application.", "units": None},
                ],
            }
        ],
    )


def gauge(number: int) -> Row:
    return {"type": "gauge", "count": 1, "latest": number, "min": number, "max": number}


def wide(types: int = 200, attributes: int = 120) -> Account:
    row: Row = {f"attribute{number}": "a text" if number % 2 else number for number in range(attributes - 1)}
    return Account(rows={f"Kind{number:03}": [{"timestamp": NOW_MS - 60_000, **row}] for number in range(types)})


async def listed(source: Source) -> dict[str, Schema]:
    return {schema.name: schema for schema in await source.schemas()}


async def described(source: Source, schema: str, *, exact: bool = False) -> Description:
    names = [attribute.name for attribute in await source.attributes(schema)]
    return await source.describe(schema, names, exact=exact, within_s=20)


def by_name(found: Description) -> dict[str, AttributeDescription]:
    return {each.name: each for each in found.attributes}


async def test_event_types_and_metrics_are_schemas_with_counts_ranges_bytes_and_meaning() -> None:
    async with asked(shop()) as source:
        found = await listed(source)
        assert source.last_look is not None
        assert source.last_look.window == DAY
        assert [text.split()[0] for text in source.last_look.queries] == ["SHOW", "SELECT", "SELECT"]
        assert isinstance(source, Windowed)
    assert sorted(found) == ["Metric", "Metric/app.hits", "Metric/queue.size", "Transaction"]
    transaction = found["Transaction"]
    assert (transaction.rows, transaction.attributes, transaction.bytes) == (1_000, 12, 100_000)
    assert (transaction.first_at, transaction.last_at) == ("2025-10-08T09:00:40Z", "2025-10-09T08:52:34Z")
    assert transaction.meaning == "One unit of work."
    assert (found["Metric/queue.size"].rows, found["Metric/queue.size"].attributes) == (200, None)


async def test_a_first_look_at_200_event_types_of_120_attributes_takes_at_most_12_requests() -> None:
    account = wide()
    async with asked(account) as source:
        found = await listed(source)
        assert len(found) == 200
        assert {schema.attributes for schema in found.values()} == {120}
        assert account.requests <= 12
        assert max(len(text) for text in account.statements) < 4_000
        before = account.requests
        await asyncio.gather(*(source.attributes(name) for name in found))
        await asyncio.gather(*(source.fingerprint(name) for name in found))
        await source.fingerprint()
        assert await listed(source) == found
        assert account.requests == before


async def test_of_very_many_event_types_only_the_frequent_ones_are_asked_for_attributes() -> None:
    account = wide(types=260, attributes=3)
    account.rows["Kind259"] *= 2
    async with asked(account) as source:
        found = await listed(source)
        assert (found["Kind259"].attributes, found["Kind255"].attributes) == (3, None)
        before = account.requests
        assert await listed(source) == found
        assert account.requests == before


async def test_describing_one_event_type_asks_for_no_other_and_in_few_requests() -> None:
    account = wide()
    async with asked(account) as source:
        found = await described(source, "Kind007")
        assert len(found.attributes) == 120
        assert account.requests == 3
        assert [text for text in account.statements if re.search("Kind(?!007)", text)] == []
        assert max(len(text) for text in account.statements) < 4_000


async def test_long_names_make_more_statements_and_never_too_long_ones() -> None:
    names = [f"{'very_long_name_' * 16}{number}" for number in range(60)]
    account = Account(
        rows={f"{'T' * 200}{number}": spread(2, lambda _number: dict.fromkeys(names, 1)) for number in range(60)}
    )
    async with asked(account) as source:
        schema = next(iter(await listed(source)))
        found = await described(source, schema, exact=True)
        assert [each.max for each in found.attributes if each.name in names] == [1] * 60
        profile = await source.profile(schema, names[0], top=1, within_s=20)
        assert (profile.rows, profile.top_values[0].rows) == (2, 2)
        assert source.last_look is not None
        assert await source.vocabulary(schema) == ()
    assert max(len(text) for text in account.statements) <= 4_000


async def test_without_the_dictionary_everything_else_is_there_and_it_is_not_asked_again_at_once() -> None:
    account = wide(types=30, attributes=3)
    account.dictionary = None
    async with asked(account) as source:
        found = await listed(source)
        before = account.requests
        await asyncio.gather(*(source.attributes(name) for name in found))
        assert (account.requests, found["Kind001"].meaning) == (before, None)


async def test_a_description_is_counted_over_all_rows_of_the_window() -> None:
    account = shop()
    async with asked(account) as source:
        found = await described(source, "Transaction")
    measured = by_name(found)
    assert (found.rows, found.time_attribute, found.provenance.method) == (1_000, "timestamp", "exact")
    assert (found.provenance.window, found.provenance.rows_inspected) == (DAY, 1_000)
    assert measured["trace.id"].null_share == pytest.approx(0.9)
    assert (measured["appName"].distinct, measured["appName"].distinct_is_exact) == (3, True)
    assert (measured["traceId"].distinct_is_exact, measured["traceId"].distinct_error) == (False, 0.05)
    assert measured["duration"].unit == "seconds"
    assert measured["duration"].meaning == "How long it took."
    assert measured["duration"].null_share == 0.0
    assert measured["duration"].min is None
    assert measured["ghost"].flags == ("all_null",)
    assert measured["ghost"].null_share == 1.0
    assert measured["region"].flags == ("constant",)
    assert "empty_strings" in measured["note"].flags
    assert "sentinel_values" in measured["retries"].flags
    assert measured["http.status"].flags == ("numbers_as_text",)
    assert measured["error"].semantic_type == "boolean_flag"
    assert measured["timestamp"].semantic_type == "timestamp"


async def test_full_detail_adds_ranges_and_instants_are_shown_as_such() -> None:
    async with asked(shop()) as source:
        measured = by_name(await described(source, "Transaction", exact=True))
    assert (measured["duration"].min, measured["duration"].max) == (0.0, 9.99)
    assert (measured["timestamp"].min, measured["timestamp"].max) == ("2025-10-08T09:00:40Z", "2025-10-09T08:52:34Z")
    assert measured["appName"].min is None


async def test_numbers_in_text_and_better_twins_come_with_what_to_write_instead() -> None:
    async with asked(shop()) as source:
        found = await source.describe("Transaction", ["http.status", "trace.id"], exact=False, within_s=20)
    assert by_name(found)["trace.id"].flags == ("mostly_null", "unique", "twin_of_better:traceId")
    assert "numeric(http.status) > 1" in found.hints[0]
    assert found.hints[1] == "trace.id is filled in 10.0% of the rows, traceId in 100.0%: prefer traceId."


async def test_examples_come_from_all_over_the_window_and_the_most_frequent_first() -> None:
    account = Account(
        rows={"Log": spread(10_000, lambda number: {"level": "late" if number > 5_000 else "early", "number": number})}
    )
    async with asked(account) as source:
        found = by_name(await described(source, "Log"))
        assert set(found["level"].examples) == {"early", "late"}
        numbers = [each for each in found["number"].examples if isinstance(each, int)]
        assert max(numbers) - min(numbers) > 4_000
        frequent = Account(rows={"Log": spread(900, lambda number: {"level": "b" if number % 3 else "a"})})
    async with asked(frequent) as source:
        assert by_name(await described(source, "Log"))["level"].examples == ("b", "a")


async def test_rows_that_came_within_minutes_are_looked_at_where_they_are() -> None:
    account = Account(rows={"Burst": spread(2_000, lambda number: {"step": f"s{number // 250}"}, over_s=120)})
    async with asked(account) as source:
        found = by_name(await described(source, "Burst"))
    assert len(found["step"].examples) == 5
    assert found["step"].distinct == 8


async def test_every_statement_says_its_window_and_equal_questions_are_equal_texts_for_a_minute() -> None:
    account, clock = shop(), ManualClock(NOW_S)
    async with asked(account, clock=clock) as source:
        first = await source.describe("Transaction", ["duration"], exact=True, within_s=20)
        clock.advance(30)
        again = await source.describe("Transaction", ["duration"], exact=True, within_s=20)
        clock.advance(40)
        later = await source.describe("Transaction", ["duration"], exact=True, within_s=20)
    assert first.provenance.queries == again.provenance.queries != later.provenance.queries
    assert all(re.search(r"SINCE \d{13} UNTIL \d{13}", text) for text in account.statements)


async def test_what_nrdb_left_out_is_told_and_marks_the_answer_as_partial() -> None:
    account = shop()
    account.remarks = {"omittedCount": 12, "exceedsRetentionWindow": True}
    async with asked(account) as source:
        found = await source.describe("Transaction", ["duration"], exact=False, within_s=20)
    assert found.provenance.truncated
    assert "left out 12 rows" in found.hints[0]
    assert "before what the account keeps" in found.hints[1]


async def test_an_event_type_without_rows_in_the_window_says_when_there_were_some() -> None:
    account = shop()
    account.rows["Transaction"] = [
        {**row, "timestamp": row["timestamp"] - 5 * 86_400_000} for row in account.rows["Transaction"]
    ] + [{"timestamp": NOW_MS - 86_400_000 + 1, "appName": "x"}]
    clock = ManualClock(NOW_S)
    async with asked(account, clock=clock) as source:
        assert (await source.attributes("Transaction"))[0].name == "timestamp"
        clock.advance(59)
        account.rows["Transaction"].pop()
        found = await source.describe("Transaction", ["appName"], exact=True, within_s=20)
        profile = await source.profile("Transaction", "appName", top=5, within_s=20)
    assert found.rows == 0
    assert "no rows in the window; the newest of the last 30 days is of 2025-10-04T08:52:34Z" in found.hints[0]
    assert (profile.rows, profile.top_values, profile.min) == (0, (), None)


async def test_a_profile_agrees_with_the_rows() -> None:
    async with asked(shop()) as source:
        found = await source.profile("Transaction", "duration", top=3, within_s=20)
    assert (found.min, found.max, found.mean) == (0.0, 9.99, pytest.approx(4.995))
    assert found.quantiles == {
        "p01": 0.09, "p05": 0.49, "p25": 2.49, "p50": 4.99, "p75": 7.49, "p95": 9.49, "p99": 9.89
    }  # fmt: skip
    assert found.histogram is not None
    assert [bucket.rows for bucket in found.histogram] == [50] * 20
    assert found.unit == "seconds"
    assert [type(top.value) for top in found.top_values] == [float] * 3
    assert found.provenance.rows_inspected == 1_000
    assert any("estimates" in hint for hint in found.hints)


async def test_frequent_values_and_formats_of_text_booleans_and_whole_numbers() -> None:
    async with asked(shop()) as source:
        apps = await source.profile("Transaction", "appName", top=2, within_s=20)
        errors = await source.profile("Transaction", "error", top=5, within_s=20)
        retries = await source.profile("Transaction", "retries", top=50, within_s=20)
        status = await source.profile("Transaction", "http.status", top=0, within_s=20)
        none = await source.profile("Transaction", "ghost", top=5, within_s=20)
        lost = await source.profile("Transaction", "lost", top=5, within_s=20)
    assert [(top.value, top.rows, top.share) for top in apps.top_values] == [
        ("checkout", 334, 0.334),
        ("search", 333, 0.333),
    ]
    assert apps.formats is not None
    assert (apps.formats[0].pattern, apps.formats[0].share) == ("a+", 1.0)
    assert [(top.value, top.rows) for top in errors.top_values] == [(False, 750), (True, 250)]
    assert {top.value: top.rows for top in retries.top_values}[-1] == 100
    assert retries.histogram is not None
    assert sum(bucket.rows for bucket in retries.histogram) == 1_000
    assert all(isinstance(bucket.low, int) for bucket in retries.histogram)
    assert (status.top_values, status.histogram) == ((), None)
    assert (lost.mean, lost.stddev, lost.min, lost.quantiles, lost.histogram) == (None,) * 5
    assert (none.null_share, none.distinct, none.top_values, none.flags) == (1.0, 0, (), ("all_null",))


async def test_the_time_attribute_is_profiled_as_instants() -> None:
    async with asked(shop()) as source:
        found = await source.profile("Transaction", "timestamp", top=0, within_s=20)
    assert found.min == "2025-10-08T09:00:40Z"
    assert found.quantiles is not None
    assert str(found.quantiles["p50"]).endswith("Z")
    assert found.histogram is not None
    assert found.histogram[0].low == "2025-10-08T09:00:40Z"


async def test_a_metric_is_described_by_its_value_and_its_dimensions_and_not_by_other_metrics() -> None:
    account = shop()
    account.hidden["Metric"] = {"app.hits": "numeric", "queue.size": "numeric"}
    async with asked(account) as source:
        await source.schemas()
        found = await described(source, "Metric/queue.size", exact=True)
        profile = await source.profile("Metric/queue.size", "queue.size", top=5, within_s=20)
    measured = by_name(found)
    assert "app.hits" not in measured
    assert (found.rows, measured["host"].distinct) == (200, 4)
    assert (measured["queue.size"].min, measured["queue.size"].max) == (0, 199)
    assert measured["queue.size"].null_share == 0.0
    assert isinstance(measured["queue.size"].examples[0], int)
    assert found.hints[0].startswith("queue.size is a metric of type gauge: ask for average(queue.size) or latest(")
    assert (profile.mean, profile.top_values, profile.histogram) == (99.5, (), None)


async def test_unknown_names_are_refused_with_the_nearest_ones_and_nothing_is_measured() -> None:
    account = shop()
    async with asked(account) as source:
        with pytest.raises(UnknownSchema) as schema:
            await source.attributes("transaction")
        assert schema.value.suggestions[0] == "Transaction"
        with pytest.raises(UnknownSchema):
            await source.fingerprint("Metric/nothing")
        with pytest.raises(UnknownAttribute) as attribute:
            await source.describe("Transaction", ["durations"], exact=False, within_s=20)
        assert attribute.value.suggestions[0] == "duration"
        with pytest.raises(UnknownAttribute):
            await source.profile("Transaction", "nope", top=1, within_s=20)
    assert not [text for text in account.statements if "uniqueCount" in text]


@pytest.mark.parametrize("odd", ["", "a\nb", "`", "z" * 300, "Metric/", "Metric/\x00"])
async def test_a_name_that_no_statement_could_say_is_unknown_without_being_asked_about(odd: str) -> None:
    account = shop()
    async with asked(account) as source:
        with pytest.raises(UnknownSchema):
            await source.describe(odd, ["a"], exact=False, within_s=20)
    assert not [text for text in account.statements if "keyset" in text and odd != "Metric/"]


async def test_names_that_could_deceive_a_reader_are_left_out_and_odd_ones_are_quoted() -> None:
    account = Account(
        rows={
            "My Type:x": spread(10, lambda number: {"since": number, "a-b": "x", "bad\nname": 1, "tick`": 2}),
            "Bad\u202eType": spread(1, lambda _number: {"a": 1}),
        }
    )
    async with asked(account) as source:
        assert list(await listed(source)) == ["My Type:x"]
        found = by_name(await described(source, "My Type:x", exact=True))
    assert sorted(found) == ["a-b", "since", "timestamp"]
    assert found["since"].max == 9


async def test_an_answer_stands_for_five_minutes_at_most_wherever_it_is_kept() -> None:
    """Results outlive the process while the fingerprint stands, for a week; rows of New Relic arrive every second."""
    account, clock = shop(), ManualClock(NOW_S - NOW_S % 300)
    async with asked(account, clock=clock) as source:
        of_all, of_one = await source.fingerprint(), await source.fingerprint("Transaction")
        clock.advance(299)
        assert (await source.fingerprint(), await source.fingerprint("Transaction")) == (of_all, of_one)
        clock.advance(1)
        assert await source.fingerprint() != of_all
        assert await source.fingerprint("Transaction") != of_one


async def test_names_are_looked_at_anew_after_a_minute_and_keysets_after_five() -> None:
    account, clock = shop(), ManualClock(NOW_S - NOW_S % 300)
    async with asked(account, clock=clock) as source:
        before = await source.fingerprint("Transaction")
        whole = await source.fingerprint()
        account.rows["New"] = spread(5, lambda number: {"n": number})
        account.rows["Transaction"][-1]["fresh"] = 1
        assert await source.fingerprint() == whole
        clock.advance(61)
        assert await source.fingerprint() != whole
        assert await source.fingerprint("Transaction") == before
        clock.advance(239)
        assert (await source.fingerprint("Transaction")).split(".")[0] != before.split(".")[0]


async def test_an_attribute_that_is_new_is_found_when_it_is_asked_for_and_one_that_is_not_costs_little() -> None:
    account, clock = shop(), ManualClock()
    clock.now_s = NOW_S
    async with asked(account, clock=clock) as source:
        await source.attributes("Transaction")
        account.rows["Transaction"][-1]["fresh"] = 1
        clock.advance(61)
        assert "fresh" not in {each.name for each in await source.attributes("Transaction")}
        profile = await source.profile("Transaction", "fresh", top=3, within_s=20)
        assert profile.top_values[0].rows == 1
        assert "fresh" in {each.name for each in await source.attributes("Transaction")}
        before = len(account.statements)
        for _ in range(5):
            with pytest.raises(UnknownAttribute):
                await source.describe("Transaction", ["nope"], exact=False, within_s=20)
        assert not any("keyset" in each for each in account.statements[before:]), "not within a minute"


async def test_a_listing_with_holes_says_what_it_knows_and_is_not_kept() -> None:
    account = shop()
    account.refused = lambda text: "Internal thing" if "keyset" in text and "Transaction" in text else None
    async with asked(account) as source:
        found = await listed(source)
        assert (found["Transaction"].rows, found["Transaction"].attributes) == (1_000, None)
        account.refused = lambda _text: None
        assert (await listed(source))["Transaction"].attributes == 12


async def test_a_failing_part_of_a_description_is_raised_and_nothing_of_it_is_kept() -> None:
    account = shop()
    async with asked(account) as source:
        names = [each.name for each in await source.attributes("Transaction")]
        account.refused = lambda text: REFUSED if "uniqueCount" in text else None
        with pytest.raises(AccessDenied):
            await source.describe("Transaction", names, exact=False, within_s=20)
        account.refused = lambda _text: None
        assert (await source.describe("Transaction", names, exact=False, within_s=20)).rows == 1_000


async def test_an_account_that_does_not_answer_is_unreachable_and_asked_again() -> None:
    down = True

    async def flaky(request: httpx.Request) -> httpx.Response:
        return httpx.Response(501) if down else await account(request)

    account = shop()
    graph = NerdGraph(endpoint=endpoint("EU"), key=KEY, transport=httpx.MockTransport(flaky))
    source = NewRelicSource(graph=graph, account=ACCOUNT, clock=ManualClock(NOW_S))
    try:
        with pytest.raises(SourceUnreachable):
            await source.schemas()
        down = False
        assert len(await source.schemas()) == 4
    finally:
        await source.aclose()
        await graph.aclose()


async def test_many_callers_look_once_and_a_cancelled_one_takes_nobody_with_it() -> None:
    account = wide(types=30, attributes=5)
    account.gate = asyncio.Event()
    async with asked(account) as source:
        callers = [asyncio.create_task(source.schemas()) for _ in range(20)]
        await account.reached.wait()
        callers[0].cancel()
        account.gate.set()
        answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(each == answers[1] for each in answers[1:])
    assert len(account.statements) == len(set(account.statements))


async def test_a_look_is_finished_although_its_only_caller_left() -> None:
    account = shop()
    account.gate = asyncio.Event()
    async with asked(account) as source:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await source.schemas()
        await account.reached.wait()
        account.gate.set()
        assert len(await source.schemas()) == 4
        assert len(account.statements) == len(set(account.statements))


async def test_words_are_read_in_few_requests_and_only_where_they_name_something() -> None:
    account = wide(types=60, attributes=4)
    for rows in account.rows.values():
        rows[0] |= {
            "level": "warn\x07ing",
            "traceId": "ab",
            "digest": "0123456789abcdef",
            "number": "17",
            "prose": "w " * 40,
        }
    async with asked(account) as source:
        names = list(await listed(source))
        before = account.requests
        words = [await source.vocabulary(name) for name in names]
        assert account.requests - before == 1
        assert {each.attribute: each.values for each in words[0]} == {"attribute1": ("a text",), "level": ("warn ing",)}
        assert all(words)
        with pytest.raises(UnknownSchema):
            await source.vocabulary("nowhere")


async def test_words_that_cannot_be_had_are_none_and_metrics_have_none() -> None:
    account = shop()
    account.refused = lambda text: MISREAD if "uniques" in text else None
    async with asked(account) as source:
        assert await source.vocabulary("Transaction") == ()
        before = account.requests
        await source.attributes("Metric/queue.size")
        asked_for = account.requests
        assert await source.vocabulary("Metric/queue.size") == ()
        assert account.requests == asked_for > before


class Files(Account):
    """The bundled sample as an account, answered by the engine of the simulator."""

    def answered(self, text: str) -> Row:
        return self.nrdb.run(text)

    def opened(self, clock: ManualClock) -> "Files":
        self.nrdb = LocalNrdb(bundled_sample(), clock=clock, approximate=False)
        return self


async def test_what_is_measured_of_rows_in_nrdb_is_what_the_source_of_files_measures_of_them() -> None:
    clock = ManualClock(NOW_S)
    account = Files(rows={}).opened(clock)
    clock.advance(60)  # the newest row is of now, and a window ends with the last full minute
    files = DuckDBSource(paths=())
    async with asked(account, clock=clock, window_s=60 * 86_400) as source:
        expected, found = await described(files, "flights", exact=True), await described(source, "flights", exact=True)
        assert found.rows == expected.rows == 27_004
        theirs = by_name(expected)
        compared = [each for each in found.attributes if each.name not in ("timestamp", "time_hour")]
        assert len(compared) == 18
        for each in compared:
            assert each.null_share == pytest.approx(theirs[each.name].null_share), each.name
            assert each.distinct == theirs[each.name].distinct, each.name
            if each.type == "numeric":
                assert (each.min, each.max) == (theirs[each.name].min, theirs[each.name].max)
        for name in ("dep_delay", "carrier", "distance"):
            expected_profile = await files.profile("flights", name, top=5, within_s=20)
            profile = await source.profile("flights", name, top=5, within_s=20)
            assert [(top.value, top.rows) for top in profile.top_values] == [
                (top.value, top.rows) for top in expected_profile.top_values
            ]
            assert profile.histogram == expected_profile.histogram
            assert profile.mean == pytest.approx(expected_profile.mean)
    await files.aclose()
    account.nrdb.close()


async def test_it_says_who_it_is_and_never_shows_the_key() -> None:
    async with asked(shop(), name="newrelic-1234567") as source, asked(shop(), window_s=3_600) as other:
        assert (source.kind, source.name, source.scope) == ("newrelic", "newrelic-1234567", "")
        assert source.origin == "New Relic account 1234567 (US)"
        assert source.status() == "not looked at yet"
        await source.schemas()
        assert source.status() == "2 event types; 2 metrics"
        assert isinstance(source, Identified)
        assert isinstance(source, Metered)
        assert isinstance(source, Familiar)
        assert await source.familiar() == {}
        assert source.identity != other.identity
        assert KEY not in json.dumps([source.identity, source.origin, repr(source), str(vars(source))])


async def test_accounts_that_share_a_client_travel_together() -> None:
    account = wide(types=3, attributes=3)
    graph = NerdGraph(endpoint=endpoint("US"), key=KEY, transport=httpx.MockTransport(account))
    sources = [NewRelicSource(graph=graph, account=number, clock=ManualClock(NOW_S)) for number in (1, 2)]
    try:
        await asyncio.gather(*(source.fingerprint() for source in sources))
        assert account.requests == 1
        assert sources[0].identity != sources[1].identity
    finally:
        await graph.aclose()
