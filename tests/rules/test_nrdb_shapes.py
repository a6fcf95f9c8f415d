"""The shapes of NRDB's answers, key by key, as they were recorded or as public clients read them."""

from collections.abc import Iterator
from typing import Any

import pytest

from sources.nrdb.local import LocalNrdb

NOW_S = 1_700_000_000
_ROWS = f"""
SELECT {NOW_S}000 - minutes * 60000 AS timestamp, app, host, duration FROM (VALUES
  (1, 'a', 'x', 1.0), (2, 'a', 'y', 2.0), (3, 'b', 'x', 3.0), (40, 'a', 'x', 4.0), (41, NULL, 'x', NULL),
  (61, 'a', 'x', 10.0), (62, 'c', 'x', 20.0)
) AS rows(minutes, app, host, duration)
"""


@pytest.fixture(scope="module")
def nrdb() -> Iterator[LocalNrdb]:
    found = LocalNrdb(tables={"Hit": _ROWS}, clock=lambda: float(NOW_S), fit=False)
    yield found
    found.close()


def test_one_facet_is_a_scalar_and_repeats_its_attribute(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*), average(duration) FROM Hit FACET app")
    assert answer["results"] == [
        {"facet": "a", "app": "a", "count": 3, "average.duration": pytest.approx(7 / 3)},
        {"facet": "b", "app": "b", "count": 1, "average.duration": 3.0},
        {"facet": "", "app": "", "count": 1, "average.duration": None},
    ]
    assert answer["metadata"]["facets"] == ["app"]


def test_several_facets_are_a_list_and_nothing_is_repeated(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit FACET app, host AS machine LIMIT 1")
    assert answer["results"] == [{"facet": ["a", "x"], "count": 2}]
    assert answer["metadata"]["facets"] == ["app", "machine"]


def test_what_limit_leaves_over_is_other_and_all_is_total(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*), max(duration) FROM Hit FACET app LIMIT 1")
    assert answer["otherResult"] == {"count": 2, "max.duration": 3.0}
    assert answer["totalResult"] == {"count": 5, "max.duration": 4.0}


def test_with_all_facets_shown_nothing_is_left_over(nrdb: LocalNrdb) -> None:
    assert nrdb.run("SELECT count(*) FROM Hit FACET app")["otherResult"] == {"count": 0}


def test_facets_are_ordered_by_the_first_function_when_it_ranks(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT min(duration), count(*) FROM Hit FACET app")["results"]
    assert [row["facet"] for row in rows] == ["b", "a"]  # a null first value chooses no facet


def test_facets_are_ordered_by_their_frequency_when_it_does_not(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT sum(duration) FROM Hit FACET app SINCE 2 hours ago WHERE app IN ('a', 'c')")["results"]
    assert [(row["facet"], row["sum.duration"]) for row in rows] == [("a", 17.0), ("c", 20.0)]


def test_order_by_picks_facets_and_does_not_order_them(nrdb: LocalNrdb) -> None:
    text = "SELECT count(*) FROM Hit FACET app ORDER BY max(duration) LIMIT 2 SINCE 2 hours ago"
    assert [row["facet"] for row in nrdb.run(text)["results"]] == ["a", "c"]


def test_a_row_belongs_to_the_first_case_and_to_no_facet_without_one(nrdb: LocalNrdb) -> None:
    text = "SELECT count(*) FROM Hit FACET CASES(WHERE duration < 2 AS 'fast', WHERE duration < 4)"
    answer = nrdb.run(text)
    assert [(row["facet"], row["count"]) for row in answer["results"]] == [("duration < 4", 2), ("fast", 1)]
    assert (answer["otherResult"], answer["totalResult"]) == ({"count": 2}, {"count": 5})


def test_ranges_gather_what_is_above_them_in_the_last(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT count(*) FROM Hit WHERE duration > 0 FACET buckets(duration, 3, 3)")["results"]
    assert {row["facet"]: row["count"] for row in rows} == {">=2.0": 3, "1.0 - 2.0": 1}


def test_an_empty_bucket_has_zero_averages_and_null_extremes(nrdb: LocalNrdb) -> None:
    text = "SELECT count(*), average(duration), max(duration), percentile(duration, 50), stddev(duration), latest(app)"
    rows = nrdb.run(f"{text} FROM Hit TIMESERIES 15 minutes")["results"]
    assert [row["inspectedCount"] for row in rows] == [0, 2, 0, 3]
    assert rows[0] == {
        "beginTimeSeconds": NOW_S - 3600,
        "endTimeSeconds": NOW_S - 2700,
        "inspectedCount": 0,
        "count": 0,
        "average.duration": 0,
        "max.duration": None,
        "percentile.duration": {"50": 0},
        "stddev.duration": 0,
        "latest.app": None,
    }
    assert rows[3]["average.duration"] == 2.0


def test_the_last_bucket_ends_with_the_window(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT rate(count(*), 1 minute) AS r FROM Hit TIMESERIES 40 minutes")["results"]
    assert [row["endTimeSeconds"] - row["beginTimeSeconds"] for row in rows] == [2400, 1200]
    assert [row["r"] for row in rows] == [2 / 40, 3 / 20]


@pytest.mark.parametrize(
    ("window", "width_s"),
    [("1 hour", 60), ("1 day", 1800), ("1 week", 21_600)],
)
def test_automatic_buckets_are_as_wide_as_the_reference_says(nrdb: LocalNrdb, window: str, width_s: int) -> None:
    first = nrdb.run(f"SELECT count(*) FROM Hit TIMESERIES AUTO SINCE {window} ago")["results"][0]
    assert first["endTimeSeconds"] - first["beginTimeSeconds"] == width_s


def test_the_narrowest_buckets_of_a_day_are_four_minutes(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT count(*) FROM Hit TIMESERIES MAX SINCE 1 day ago")["results"]
    assert (len(rows), rows[0]["endTimeSeconds"] - rows[0]["beginTimeSeconds"]) == (360, 240)


def test_facets_in_buckets_are_chosen_once_and_all_have_every_bucket(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit FACET app TIMESERIES 30 minutes LIMIT 2")
    assert [(row["facet"], row["count"]) for row in answer["results"]] == [("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert [row["count"] for row in answer["totalResult"]] == [2, 3]
    assert isinstance(answer["otherResult"], list)


def test_compared_windows_say_which_they_are(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit SINCE 1 hour ago COMPARE WITH 1 hour ago")
    assert answer["results"] == [{"count": 5, "comparison": "current"}, {"count": 2, "comparison": "previous"}]
    assert (answer["currentResults"], answer["previousResults"]) == (answer["results"][:1], answer["results"][1:])


def test_the_facets_of_the_earlier_window_are_those_of_the_window(nrdb: LocalNrdb) -> None:
    text = "SELECT count(*), max(duration) FROM Hit WHERE app IS NOT NULL FACET app"
    earlier = nrdb.run(f"{text} SINCE 1 hour ago COMPARE WITH 1 hour ago")["previousResults"]
    assert [(row["facet"], row["count"], row["max.duration"]) for row in earlier] == [("a", 1, 10.0), ("b", 0, None)]


def test_buckets_of_the_earlier_window_lie_in_it(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit SINCE 1 hour ago COMPARE WITH 1 hour ago TIMESERIES 30 minutes")
    assert [(row["beginTimeSeconds"] - NOW_S, row["count"]) for row in answer["previousResults"]] == [
        (-7200, 0),
        (-5400, 2),
    ]


def test_an_apdex_is_repeated_beside_itself(nrdb: LocalNrdb) -> None:
    (row,) = nrdb.run("SELECT apdex(duration, t: 1) FROM Hit")["results"]
    assert row == {"apdex.duration": (told := {"score": 0.625, "s": 1, "t": 3, "f": 0, "count": 4}), **told}


def test_what_an_apdex_repeats_takes_nobodys_place(nrdb: LocalNrdb) -> None:
    (row,) = nrdb.run("SELECT count(*), apdex(duration, t: 1) FROM Hit")["results"]
    assert (row["count"], row["apdex.duration"]["count"]) == (5, 4)


def test_rows_are_the_newest_first_and_leave_out_what_they_do_not_have(nrdb: LocalNrdb) -> None:
    rows: list[dict[str, Any]] = nrdb.run("SELECT * FROM Hit")["results"]
    assert rows[0] == {"timestamp": NOW_S * 1000 - 60_000, "app": "a", "host": "x", "duration": 1.0}
    assert rows[-1] == {"timestamp": NOW_S * 1000 - 41 * 60_000, "host": "x"}


def test_named_attributes_are_there_even_when_they_are_null(nrdb: LocalNrdb) -> None:
    rows = nrdb.run("SELECT app, nothing FROM Hit ORDER BY duration DESC LIMIT 2 OFFSET 3")["results"]
    assert rows == [{"app": "a", "nothing": None}, {"app": None, "nothing": None}]


def test_a_hundred_rows_come_without_limit_and_ten_facets() -> None:
    rows = f"SELECT {NOW_S}000 - i AS timestamp, i AS n FROM range(1, 201) AS t(i)"
    nrdb = LocalNrdb(tables={"Many": rows}, clock=lambda: float(NOW_S), fit=False)
    try:
        assert len(nrdb.run("SELECT * FROM Many")["results"]) == 100
        assert len(nrdb.run("SELECT * FROM Many LIMIT MAX")["results"]) == 200
        assert [row["n"] for row in nrdb.run("SELECT n FROM Many LIMIT 2 OFFSET 10")["results"]] == [11, 12]
        assert len(nrdb.run("SELECT count(*) FROM Many FACET n")["results"]) == 10
    finally:
        nrdb.close()


def test_a_keyset_has_a_row_for_each_attribute_with_values(nrdb: LocalNrdb) -> None:
    assert nrdb.run("SELECT keyset() FROM Hit WHERE app IS NULL")["results"] == [
        {"key": "host", "type": "string"},
        {"key": "timestamp", "type": "numeric"},
    ]
    assert nrdb.run("SELECT keyset() FROM Nothing")["results"] == []


def test_event_types_are_those_with_rows_in_the_window(nrdb: LocalNrdb) -> None:
    assert nrdb.run("SHOW EVENT TYPES")["results"] == [{"eventType": "Hit"}]
    assert nrdb.run("SHOW EVENT TYPES SINCE 1 minute ago UNTIL 30 seconds ago")["results"] == [{"eventType": "Hit"}]
    assert nrdb.run("SHOW EVENT TYPES SINCE 30 seconds ago")["results"] == []


def test_the_window_and_the_statistics_are_told(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit WHERE app = 'b' SINCE 2 hours ago")
    assert answer["metadata"] == {
        "eventTypes": ["Hit"],
        "facets": None,
        "messages": [],
        "timeWindow": {
            "begin": NOW_S * 1000 - 7_200_000,
            "end": NOW_S * 1000,
            "since": "2 HOURS AGO",
            "until": "NOW",
            "compareWith": None,
        },
    }
    statistics = answer["rawResponse"]["performanceStats"]
    assert (statistics["inspectedCount"], statistics["matchCount"], statistics["omittedCount"]) == (7, 1, 0)


def test_plain_answers_leave_null_what_only_others_have(nrdb: LocalNrdb) -> None:
    answer = nrdb.run("SELECT count(*) FROM Hit")
    assert [answer[key] for key in ("otherResult", "totalResult", "currentResults", "previousResults")] == [None] * 4


def test_one_question_measures_many_event_types() -> None:
    tables = {name: f"SELECT {NOW_S}000 - {at} AS timestamp, 'é' AS word" for name, at in (("A", 1000), ("B", 2000))}
    nrdb = LocalNrdb(tables=tables, clock=lambda: float(NOW_S), fit=False)
    text = "SELECT count(*), earliest(timestamp), latest(timestamp), bytecountestimate() FROM A, B, C FACET eventType()"
    try:
        assert nrdb.run(f"{text} LIMIT MAX")["results"] == [
            {
                "facet": name,
                "eventType()": name,
                "count": 1,
                "earliest.timestamp": NOW_S * 1000 - at,
                "latest.timestamp": NOW_S * 1000 - at,
                "bytecountestimate": len("timestamp") + 8 + len("word") + 2,
            }
            for name, at in (("A", 1000), ("B", 2000))
        ]
    finally:
        nrdb.close()
