"""What comes out of New Relic is read whatever it is: shapes that were seen, and plain nonsense."""

import asyncio
import itertools
import math
from collections.abc import Callable
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.errors import SourceError
from sources.errors import SourceUnreachable
from sources.newrelic import answered
from sources.newrelic import listing
from sources.newrelic import profile
from sources.newrelic.asked_before import counted
from sources.newrelic.asking import Asking
from sources.newrelic.catalogue import Catalogue
from sources.newrelic.describe_run import describe_schema
from sources.newrelic.dictionary import plain
from sources.newrelic.inquiry import Inquiry
from sources.newrelic.looks import formats
from sources.newrelic.looks import looked
from sources.newrelic.names import chunks
from sources.newrelic.names import is_usable
from sources.newrelic.names import metric_schema
from sources.newrelic.names import place_of
from sources.newrelic.names import twins
from sources.newrelic.profile_run import profile_attribute
from sources.newrelic.vocabulary import Vocabulary
from sources.newrelic.vocabulary import looked_at
from sources.newrelic.window import Window
from sources.newrelic.window import instant
from sources.newrelic.window import window_until
from sources.protocol import Attribute
from sources.protocol import silent

ANY_NUMBER = st.integers(-(2**70), 2**70) | st.floats()
ANY_JSON = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["n", "c", "f", "l", "b", "facet", "key", "type", "eventType", *(f"m{n}" for n in range(14)), "A"]
)
ROWS = st.lists(st.dictionaries(KEYS, ANY_JSON, max_size=12) | ANY_JSON, max_size=4)
STATISTICS = st.fixed_dictionaries({"performanceStats": st.dictionaries(st.just("omittedCount"), ANY_JSON) | ANY_JSON})
CONTAINERS = st.fixed_dictionaries({"results": ROWS, "rawResponse": STATISTICS | ANY_JSON, "metadata": ANY_JSON})


@dataclass(frozen=True)
class Reply:
    container: Mapping[str, Any]
    took_ms: float = 1.0
    warnings: tuple[str, ...] = ()


class Nonsense:
    """Names are `A` and its attributes `A` and `B`; everything else is whatever was drawn."""

    def __init__(self, draw: Callable[[], Mapping[str, Any]], words: Any) -> None:
        self.draw = draw
        self.words = words

    async def nrql(self, account: int, text: str, **options: Any) -> Reply:
        assert (account, options["within_s"] > 0) == (1, True)
        if text.startswith("SHOW"):
            return Reply({"results": [{"eventType": "A"}, {"eventType": ["A"]}, *self.strange()]})
        if "keyset" in text:
            found = [{"key": "A", "type": "numeric"}, {"key": "B", "type": "string"}, {"key": "B", "type": ["odd"]}]
            return Reply({"results": [*found, *self.strange()]})
        return Reply(self.draw())

    def strange(self) -> list[Any]:
        found = self.draw().get("results")
        return found if isinstance(found, list) else [found]  # pyright: ignore[reportUnknownVariableType]

    async def graphql(
        self, text: str, variables: Mapping[str, Any] = MappingProxyType({}), *, within_s: float
    ) -> Mapping[str, Any]:
        assert "dataDictionary" in text
        assert variables["names"]
        assert within_s > 0
        return {"docs": {"dataDictionary": {"events": self.words}}}


def asking_of(graph: Nonsense) -> Asking:
    def window() -> Window:
        return window_until(1_760_000_000.0, 86_400.0)

    def clock() -> float:
        return 1_760_000_000.0

    catalogue = Catalogue(graph=graph, account=1, source="newrelic", window=window, clock=clock)
    return Asking(graph=graph, account=1, source="newrelic", catalogue=catalogue, window=window, clock=clock)


async def everything(asking: Asking) -> None:
    def inquiry() -> Inquiry:
        return Inquiry(asking=asking, within_s=5.0, progress=silent, window=asking.window())

    with suppress(SourceUnreachable):  # an answer without a list of rows says nothing, and not that there are none
        for schema in await asking.catalogue.schemas():
            assert schema.rows is None or schema.rows >= 0
    words = Vocabulary(asking)
    with suppress(SourceUnreachable):
        assert all(value.isprintable() for each in await words.words("A") for value in each.values)
    await words.aclose()
    with suppress(SourceUnreachable):
        found = await describe_schema(inquiry(), "A", ["A", "B"], exact=True)
        assert all(0 <= each.null_share <= 1 and each.distinct >= 0 for each in found.attributes)
    for name in ("A", "B"):
        with suppress(SourceUnreachable):
            measured = await profile_attribute(inquiry(), "A", name, top=3)
            assert all(top.rows > 0 for top in measured.top_values)


@given(st.lists(CONTAINERS | st.dictionaries(st.text(max_size=8), ANY_JSON), min_size=1, max_size=12), ANY_JSON)
def test_no_answer_of_new_relic_breaks_anything(drawn: list[Mapping[str, Any]], words: Any) -> None:
    around = itertools.cycle(drawn)
    asyncio.run(everything(asking_of(Nonsense(lambda: next(around), words))))


@given(st.sampled_from(["string", "numeric", "boolean"]), st.lists(ANY_JSON, max_size=30))
def test_looks_take_any_values(kind: str, values: list[Any]) -> None:
    found = looked(kind, values)
    assert found.values == len(values) >= found.distinct
    for each in formats(values) or ():
        assert 0 < each.share <= 1


def test_looks_see_patterns_and_stand_ins_and_keep_the_most_frequent_first() -> None:
    texts = looked("string", ["10", "20", "20", "", "N/A"])
    assert texts.examples == ("20", "10", "", "N/A")
    assert (texts.empty, texts.sentinels, texts.measures["looked"], texts.measures["number"]) == (1, 1, 4, 3)
    numbers = looked("numeric", [5, -1, 7.5])
    assert (numbers.family, numbers.minus_one, numbers.negative, numbers.low, numbers.high) == ("real", 1, 1, -1, 7.5)
    assert looked("numeric", [5, 2**60]).examples == (5, str(2**60))
    assert looked("string", ["a\x00\x1b[31mred"]).examples == ("a  [31mred",)


def test_a_point_of_a_metric_is_one_number_where_its_type_has_one() -> None:
    gauges = looked("numeric", [{"type": "gauge", "latest": 4, "min": 1}] * 2)
    assert (gauges.examples, gauges.point, gauges.family) == ((4,), "gauge", "whole")
    summary = {"type": "summary", "count": 2, "sum": 5.0}
    assert looked("numeric", [summary, summary]).examples == (summary,)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"facet": "a", "appName": "a", "c": 1}, "a"),
        ({"appName": "a", "c": 1}, "a"),
        ({"facet": ["a"], "c": 1}, "a"),
        ({"facet": [], "c": 1}, None),
        ({"facet": None, "c": 1}, None),
        ({"c": 1}, None),
    ],
)
def test_the_value_of_a_facet_is_found_in_every_recorded_shape(row: dict[str, Any], value: object) -> None:
    assert answered.facet(row, ("c",)) == value


def test_counts_are_whole_and_not_negative_whatever_they_are() -> None:
    odd: list[Any] = [None, "7", True, -3, -3.5, math.inf, math.nan, {}, 7, 7.0, 2**70]
    assert [answered.count(each) for each in odd] == [0, 0, 1, 0, 0, 0, 0, 0, 7, 7, 2**70]


def test_words_are_read_of_the_whole_window_only_where_that_is_little() -> None:
    window = Window(begin_ms=0, end_ms=86_400_000)
    assert looked_at(window, 10) == window
    last_hour = Window(begin_ms=82_800_000, end_ms=86_400_000)
    assert looked_at(window, 2_000_000) == looked_at(window, None) == last_hour
    assert looked_at(Window(begin_ms=5, end_ms=7), None) == Window(begin_ms=5, end_ms=7)


def test_percentiles_are_found_by_whole_and_by_decimal_keys() -> None:
    keys = ("p01", "p05", "p25", "p50", "p75", "p95", "p99")
    assert profile.quantiles({"1": 1, "5": 2, "25": 3, "50": 4, "75": 5, "95": 6, "99": 7}) == dict(
        zip(keys, range(1, 8), strict=True)
    )
    assert profile.quantiles({"50.0": 4.5, "x": 1, "95": None}) == {"p50": 4.5}
    assert profile.quantiles(None) is profile.quantiles([1]) is profile.quantiles({}) is None


def test_event_types_that_a_count_does_not_name_have_no_rows_and_those_of_a_failed_part_are_unknown() -> None:
    row = {"facet": "A", "c": 3, "f": 1_760_000_000_000, "l": 1_760_000_060_500, "b": 12.4}
    found = listing.counts(("A", "B"), [{"results": [row]}])
    assert found.by_type["A"] == listing.Counted(
        rows=3, first_at="2025-10-09T08:53:20Z", last_at="2025-10-09T08:54:20.500Z", bytes=12
    )
    assert found.by_type["B"].rows == 0
    many = tuple(f"T{number}" for number in range(60))
    part = listing.counts(many, [{"results": []}, SourceError("slow")])
    assert (len(part.by_type), part.is_whole) == (50, False)
    with pytest.raises(SourceError, match="slow"):
        listing.counts(many, [SourceError("slow"), SourceError("slow")])


@given(st.lists(st.text(min_size=1, max_size=300), max_size=80), st.integers(1, 60), st.integers(310, 4_000))
def test_chunks_hold_everything_once_in_order_and_fit(texts: list[str], most: int, chars: int) -> None:
    ranges = chunks(texts, most=most, chars=chars)
    assert [each for begin, end in ranges for each in texts[begin:end]] == texts
    for begin, end in ranges:
        assert 0 < end - begin <= most
        assert len(", ".join(texts[begin:end])) <= chars


def test_names_that_can_be_asked_about_are_printable_and_bounded() -> None:
    assert all(is_usable(name) for name in ("a", "a b", "http:x", "größe", "x" * 255, "Custom/Thing[a]"))
    odd = ["", " ", "a\nb", "a\x00", "a`b", "x" * 256, "a\u202eb", "a\u200bb", None, 7, ["a"]]
    assert not any(is_usable(name) for name in odd)


def test_what_this_source_asked_itself_is_not_what_a_person_asked_about() -> None:
    texts = [
        "SELECT count(*) FROM Log SINCE 1 day ago",
        f"SELECT count(*) FROM Span {window_until(1_760_000_000.0, 60.0).clause}",
    ]
    history = [{"accountIds": [1], "query": text} for text in texts]
    assert counted({"actor": {"queryHistory": {"nrql": history}}}, 1) == {"Log": 1}


def test_an_attribute_that_holds_texts_and_numbers_is_a_text() -> None:
    both_ways = [{"key": "a", "type": kind} for kind in ("numeric", "string", "numeric")]
    odd: list[dict[str, Any]] = [
        {"key": ["a"], "type": "string"},
        {"key": "b", "type": ["string"]},
        {"key": "c", "type": "blob"},
        {},
    ]
    assert listing.attributes([*both_ways, *odd]) == (Attribute(name="a", type="string"),)


def test_metrics_are_schemas_of_their_own() -> None:
    place = place_of(metric_schema("it's.busy"))
    assert place.asked("count(*)", where="x IS NULL", rest="LIMIT 1") == (
        r"SELECT count(*) FROM Metric WHERE metricName = 'it\'s.busy' AND x IS NULL LIMIT 1"
    )
    assert place_of("Metric").metric is place_of("Metric/").metric is None
    known = [Attribute(name=name, type="string") for name in ("host", "other", "it's.busy")]
    assert [each.name for each in listing.of_metric(known, "it's.busy", ["other"])] == ["it's.busy", "host"]


def test_twins_differ_in_spelling_only() -> None:
    known = ["traceId", "trace.id", "trace_id", "traceid2", "entityGuid"]
    assert twins("trace.id", known) == ("traceId", "trace_id")
    assert twins("entityGuid", known) == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("See [the docs](https://x.example/a) for **more**", "See the docs for more"),
        ("line\none\x07 <b>two</b>", "line one two"),
        ("![image](y)", "image"),
        ("   ", None),
        (None, None),
        (7, None),
    ],
)
def test_words_of_the_dictionary_are_one_plain_line(text: object, read: str | None) -> None:
    assert plain(text) == read
    assert len(plain("x" * 5_000) or "") == 300


@given(st.floats(0, 4e9), st.floats(0.001, 1e8))
def test_a_window_ends_with_a_full_minute_and_is_as_long_as_asked(now_s: float, span_s: float) -> None:
    window = window_until(now_s, span_s)
    assert window.end_ms % 60_000 == 0
    assert 0 <= now_s * 1_000 - window.end_ms < 60_001
    assert window.end_ms - window.begin_ms == max(1, round(span_s * 1_000))


@given(st.integers(0, 10**12), st.integers(1, 10**9), st.integers(1, 20))
def test_slices_follow_each_other_and_are_the_whole_window(begin_ms: int, span_ms: int, parts: int) -> None:
    slices = Window(begin_ms=begin_ms, end_ms=begin_ms + span_ms).sliced(parts)
    assert (slices[0].begin_ms, slices[-1].end_ms) == (begin_ms, begin_ms + span_ms)
    assert all(one.end_ms == other.begin_ms for one, other in itertools.pairwise(slices))
    assert len(slices) == min(parts, span_ms)


def test_instants_are_rfc_3339() -> None:
    assert instant(1_760_000_000_000) == "2025-10-09T08:53:20Z"
    assert instant(1_760_000_000_500.4) == "2025-10-09T08:53:20.500Z"
    assert instant(-1) == "1969-12-31T23:59:59.999Z"
    assert instant(1e18) == "1e+18"
