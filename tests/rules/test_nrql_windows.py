"""What a statement's window and its rows are, when it says so and when it does not.

Promise: NRDB's own rules, as they are documented. Source: docs.newrelic.com, "Set a query's time range", whose examples
these are.
"""

from datetime import UTC
from datetime import datetime

import pytest

from sources.nrql.bound import NRDB
from sources.nrql.bound import bounded
from sources.nrql.bound import window_ms
from sources.nrql.errors import NrqlError
from sources.nrql.parse import parse
from sources.nrql.text import printed

NOW = "2023-12-18T12:34:56.789Z"
"""A Monday."""


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1_000)


def _window(clauses: str, *, now: str = NOW) -> list[str]:
    ends = window_ms(parse(f"SELECT count(*) FROM T {clauses}"), now_ms=_ms(now), default_ms=NRDB.window_ms)
    return [datetime.fromtimestamp(each / 1_000, UTC).isoformat(timespec="milliseconds")[:-6] for each in ends]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("now", "2023-12-18T12:34:56.789"),
        ("2 milliseconds ago", "2023-12-18T12:34:56.787"),
        ("2 seconds ago", "2023-12-18T12:34:54.789"),
        ("2 minutes ago", "2023-12-18T12:32:56.789"),
        ("2 hours ago", "2023-12-18T10:34:56.789"),
        ("2 days ago", "2023-12-16T12:34:56.789"),
        ("2 weeks ago", "2023-12-04T12:34:56.789"),
        ("2 months ago", "2023-10-19T12:34:56.789"),
        ("2 quarters ago", "2023-06-19T12:34:56.789"),
        ("2 years ago", "2021-12-18T12:34:56.789"),
        ("1702899296789", "2023-12-18T11:34:56.789"),
        ("today", "2023-12-18T00:00:00.000"),
        ("today AT '01:23:45'", "2023-12-18T01:23:45.000"),
        ("today AT '23:45'", "2023-12-17T23:45:00.000"),
        ("yesterday", "2023-12-17T00:00:00.000"),
        ("yesterday AT '01:23:45'", "2023-12-17T01:23:45.000"),
        ("monday", "2023-12-18T00:00:00.000"),
        ("monday AT '23:00'", "2023-12-11T23:00:00.000"),
        ("Tuesday", "2023-12-12T00:00:00.000"),
        ("tuesday AT '01:23:45'", "2023-12-12T01:23:45.000"),
        ("sunday", "2023-12-17T00:00:00.000"),
        ("this hour", "2023-12-18T12:00:00.000"),
        ("last hour", "2023-12-18T11:00:00.000"),
        ("this week", "2023-12-18T00:00:00.000"),
        ("last week", "2023-12-11T00:00:00.000"),
        ("this month", "2023-12-01T00:00:00.000"),
        ("last month", "2023-11-01T00:00:00.000"),
        ("this quarter", "2023-10-01T00:00:00.000"),
        ("last quarter", "2023-07-01T00:00:00.000"),
        ("this year", "2023-01-01T00:00:00.000"),
        ("last year", "2022-01-01T00:00:00.000"),
        ("'2023-12-17T12:34:56.789'", "2023-12-17T12:34:56.789"),
        ("'2023-12-17 12:34:56.789Z'", "2023-12-17T12:34:56.789"),
        ("'2023-12-17T06:34:56-06:00'", "2023-12-17T12:34:56.000"),
        ("'2023-12-17T06:34:56 [America/Chicago]'", "2023-12-17T12:34:56.000"),
        ("'2023-12-17T06:34:56.789 CST'", "2023-12-17T12:34:56.789"),
        ("'2023-12-17 01:23 PM'", "2023-12-17T13:23:00.000"),
        ("'2023-12-17T07:23-0600 AM'", "2023-12-17T13:23:00.000"),
        ("'2023-12-17 12:05 AM'", "2023-12-17T00:05:00.000"),
        ("'20231217T123456.7'", "2023-12-17T12:34:56.700"),
        ("'2023-12-17'", "2023-12-17T00:00:00.000"),
        ("'2023-12-17-06:00'", "2023-12-17T06:00:00.000"),
        ("'2023-12'", "2023-12-01T00:00:00.000"),
        ("'12:34'", "2023-12-18T12:34:00.000"),
        ("'12:35'", "2023-12-17T12:35:00.000"),
        ("'05:34 [America/Chicago]'", "2023-12-18T11:34:00.000"),
    ],
)
def test_since_means_what_is_documented(moment: str, expected: str) -> None:
    assert _window(f"SINCE {moment}")[0] == expected


@pytest.mark.parametrize(
    ("clauses", "begin", "end"),
    [
        ("", "2023-12-18T11:34:56.789", "2023-12-18T12:34:56.789"),
        ("SINCE 1 day ago", "2023-12-17T12:34:56.789", "2023-12-18T12:34:56.789"),
        ("UNTIL 1 day ago", "2023-12-17T11:34:56.789", "2023-12-17T12:34:56.789"),
        ("SINCE 2 days ago UNTIL 1 day ago", "2023-12-16T12:34:56.789", "2023-12-17T12:34:56.789"),
        ("SINCE today UNTIL today AT '23:00'", "2023-12-18T00:00:00.000", "2023-12-18T23:00:00.000"),
        ("SINCE last week UNTIL this week", "2023-12-11T00:00:00.000", "2023-12-18T00:00:00.000"),
    ],
)
def test_what_is_left_out_of_a_window_is_filled_in(clauses: str, begin: str, end: str) -> None:
    assert _window(clauses) == [begin, end]


def test_a_zone_holds_for_words_and_for_dates_without_one() -> None:
    zone = "WITH TIMEZONE 'America/Los_Angeles'"
    now = "2022-05-19T20:00:00Z"
    assert _window(f"SINCE today UNTIL '2022-05-19T12:00' {zone}", now=now) == [
        "2022-05-19T07:00:00.000",
        "2022-05-19T19:00:00.000",
    ]
    assert _window(f"SINCE today UNTIL '2022-05-19T12:00-0500' {zone}", now=now)[1] == "2022-05-19T17:00:00.000"


def test_days_are_those_of_the_zone_when_clocks_change() -> None:
    zone = "WITH TIMEZONE 'Europe/Berlin'"
    assert _window(f"SINCE yesterday UNTIL today {zone}", now="2026-03-30T12:00:00Z") == [
        "2026-03-28T23:00:00.000",
        "2026-03-29T22:00:00.000",
    ]


@pytest.mark.parametrize(
    ("clauses", "place"),
    [
        ("SINCE 'soon'", "'soon'"),
        ("SINCE '2023-13-01'", "'2023-13-01'"),
        ("SINCE '2023-02-30'", "'2023-02-30'"),
        ("SINCE '25:00'", "'25:00'"),
        ("SINCE '13:00 PM'", "'13:00 PM'"),
        ("SINCE '2023-12-18 [Mars/Base]'", "'2023-12-18"),
        ("SINCE '2023-12-18 XYZ'", "'2023-12-18"),
        ("SINCE today AT 'noon'", "today"),
        ("SINCE 1e300", "1e300"),
        ("SINCE 100 years ago", "100 years"),
        ("SINCE 1 day ago UNTIL 2 days ago", "1 day"),
        ("SINCE today WITH TIMEZONE 'Mars/Base'", "SELECT"),
    ],
)
def test_a_time_that_cannot_be_is_refused_at_its_place(clauses: str, place: str) -> None:
    with pytest.raises(NrqlError) as caught:
        _window(clauses)
    assert caught.value.position == f"SELECT count(*) FROM T {clauses}".index(place)
    assert caught.value.remedy


def test_a_zone_that_is_not_there_is_answered_with_near_ones() -> None:
    with pytest.raises(NrqlError, match="Europe/Berlin"):
        _window("SINCE today WITH TIMEZONE 'Europe/Berln'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT count(*) FROM T", "SELECT count(*) FROM T SINCE 1000 UNTIL 2000"),
        ("SELECT a FROM T", "SELECT a FROM T LIMIT 50 SINCE 1000 UNTIL 2000"),
        ("SELECT a LIMIT 7 FROM T", "SELECT a FROM T LIMIT 7 SINCE 1000 UNTIL 2000"),
        ("SELECT max(a) FROM T FACET b", "SELECT max(a) FROM T FACET b LIMIT 50 SINCE 1000 UNTIL 2000"),
        ("SELECT max(a) * 2 FROM T TIMESERIES", "SELECT max(a) * 2 FROM T SINCE 1000 UNTIL 2000 TIMESERIES"),
        ("SELECT a FROM T SINCE 1 day ago", "SELECT a FROM T LIMIT 50 SINCE 1 day ago UNTIL 2000"),
        ("SHOW EVENT TYPES", "SHOW EVENT TYPES SINCE 1000 UNTIL 2000"),
        (
            "SELECT max(n) FROM (SELECT count(*) AS n FROM T FACET a)",
            "SELECT max(n) FROM (SELECT count(*) AS n FROM T FACET a) SINCE 1000 UNTIL 2000",
        ),
    ],
)
def test_only_what_is_missing_is_filled_in(text: str, expected: str) -> None:
    assert printed(bounded(parse(text), since_ms=1_000, until_ms=2_000, limit=50)) == expected


def test_nothing_given_is_nothing_filled_in() -> None:
    statement = parse("SELECT a FROM T FACET b")
    assert bounded(statement, since_ms=None, until_ms=None, limit=None) is statement


def test_no_limit_is_beyond_what_is_answered() -> None:
    assert printed(bounded(parse("SELECT a FROM T"), since_ms=None, until_ms=None, limit=9_999)).endswith("LIMIT 5000")
