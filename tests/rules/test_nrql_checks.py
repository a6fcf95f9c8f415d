"""What NRDB answers with nothing, or with less than all, is told before it is sent.

Promise: unknown names are answered with near ones, kinds that never match with what does, and defaults are said.
"""

import pytest

from sources.nrql.check import Remark
from sources.nrql.check import attributes_of
from sources.nrql.check import checked
from sources.nrql.check import schemas_of
from sources.nrql.parse import parse

TYPES = ("Transaction", "TransactionError", "Log", "Metric", "PageView")
KEYSETS = {
    "Transaction": {
        "duration": "numeric",
        "response.status": "string",
        "error": "boolean",
        "appName": "string",
        "traceId": "string",
        "timestamp": "numeric",
        "port": "string",
    },
    "Log": {"message": "string", "trace.id": "string", "level": "string", "port": "numeric"},
    "Metric": {"entity.guid": "string", "metricName": "string"},
}
IMPLICIT = {"implicit_window", "implicit_limit"}


def _remarks(text: str) -> list[Remark]:
    return list(checked(parse(text), event_types=TYPES, attributes=KEYSETS))


def _told(text: str) -> list[Remark]:
    return [each for each in _remarks(text) if each.kind not in IMPLICIT]


@pytest.mark.parametrize(
    ("text", "kind", "place", "suggestion"),
    [
        ("SELECT count(*) FROM Transacton", "unknown_event_type", "Transacton", "Transaction"),
        ("SELECT count(*) FROM transaction", "unknown_event_type", "transaction", "Transaction"),
        ("SELECT max(c) FROM (SELECT count(*) AS c FROM Logs)", "unknown_event_type", "Logs", "Log"),
        ("SELECT max(duraton) FROM Transaction", "unknown_attribute", "duraton", "duration"),
        ("SELECT count(*) FROM Transaction WHERE trace.id = 'x'", "unknown_attribute", "trace.id", "traceId"),
        ("SELECT count(*) FROM Log FACET traceId", "unknown_attribute", "traceId", "trace.id"),
        ("SELECT latest(entityGuid) FROM Metric", "unknown_attribute", "entityGuid", "entity.guid"),
        (
            "SELECT count(*) FROM Transaction WHERE response.status >= 500",
            "numeric_as_text",
            "response.status",
            "numeric(response.status) >= 500",
        ),
        (
            "SELECT count(*) FROM Transaction WHERE -1 < response.status",
            "numeric_as_text",
            "-1 <",
            "numeric(response.status) > -1",
        ),
        ("SELECT average(port) FROM Transaction", "numeric_as_text", "average", "average(numeric(port))"),
        ("SELECT count(*) FROM Transaction WHERE duration > '2.5'", "text_as_number", "duration", "duration > 2.5"),
        ("SELECT count(*) FROM Transaction WHERE duration LIKE '2%'", "text_as_number", "duration", "string(duration)"),
        ("SELECT count(*) FROM Transaction WHERE error = 'true'", "boolean_as_text", "error", "error IS TRUE"),
        ("SELECT count(*) FROM Transaction WHERE error = 0", "boolean_as_text", "error", "error IS FALSE"),
        ("SELECT count(*) FROM Transaction WHERE port IS TRUE", "boolean_as_text", "port", "port = 'true'"),
        ("SELECT count(*) FROM Log WHERE message LIKE 'oops'", "like_without_wildcard", "message", "LIKE '%oops%'"),
        ("SELECT count(*) FROM Log WHERE message LIKE '*oops*'", "like_without_wildcard", "message", "LIKE '%oops%'"),
        ("SELECT count(*) FROM Log WHERE message = '%oops%'", "equals_with_wildcard", "message", "LIKE '%oops%'"),
        ("SELECT count(*) FROM Log WHERE message != 'x%'", "equals_with_wildcard", "message", "NOT LIKE 'x%'"),
    ],
)
def test_what_cannot_match_is_told_with_what_does(text: str, kind: str, place: str, suggestion: str) -> None:
    found = _told(text)
    assert [each.kind for each in found] == [kind]
    assert found[0].position == text.index(place)
    assert suggestion in found[0].text
    assert any(suggestion in each for each in found[0].suggestions)


@pytest.mark.parametrize(
    ("text", "kind", "fatal"),
    [
        ("SELECT count(*) FROM Log SINCE 1767225600", "epoch_seconds", False),
        ("SELECT * FROM Log LIMIT 5001", "limit_too_high", True),
        ("SELECT count(*) FROM Log TIMESERIES 1 minute SINCE 1 day ago", "too_many_buckets", True),
        ("SELECT count(*) FROM Log FACET 'a', 'b', 'c', 'd', 'e', 'f'", "too_many_facets", True),
        ("SELECT count(*) FROM Log COMPARE WITH 1 day ago", "compare_without_window", False),
        ("SELECT max(c) FROM (SELECT count(*) AS c FROM Log SINCE 1 day ago)", "nested_window", True),
        ("SELECT count(*) FROM Transaction WHERE response.status IN (500, 501)", "numeric_as_text", False),
        ("SELECT count(*) FROM Transaction WHERE duration IN ('1')", "text_as_number", False),
    ],
)
def test_what_is_refused_or_means_something_else_is_told(text: str, kind: str, fatal: bool) -> None:  # noqa: FBT001
    assert [(each.kind, each.fatal) for each in _told(text)] == [(kind, fatal)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM Transaction WHERE timestamp > 5",
        "SELECT count(*), eventType() FROM Log, Transaction WHERE message IS NULL AND appName = 'x'",
        "SELECT count(*) FROM Transaction WHERE numeric(response.status) >= 500 AND error IS TRUE AND duration > 2",
        "SELECT count(*) AS n FROM Transaction FACET appName AS app ORDER BY max(duration)",
        "WITH duration * 1000 AS ms, aparse(appName, '*-*') AS (team, part) FROM Transaction SELECT max(ms) FACET part",
        "SELECT max(n) FROM (SELECT count(*) AS n FROM Transaction FACET appName) WHERE appName = 'x'",
        "SELECT average(`count`) FROM (SELECT count(*) FROM Transaction TIMESERIES 1 minute)",
        "FROM Transaction JOIN (FROM Log SELECT max(level) AS l FACET trace.id) ON traceId = trace.id SELECT max(l)",
        "SELECT average(host.cpu), rate(sum(http.requests), 1 minute) FROM Metric",
        "SELECT count(anything) FROM PageView WHERE whatever > 'x'",
        "SELECT getField(duration, total) FROM Transaction",
        "SELECT count(*) FROM Log, Transaction WHERE port = 80",
        "SELECT count(*) FROM Transaction WHERE appName IN (SELECT uniques(message) FROM Log)",
        "SELECT t.appName FROM Transaction AS t",
        "SELECT count(*) FROM lookup(stores) WHERE city = 'x'",
        "SELECT count(*) FROM Log TIMESERIES 5 minutes SINCE 1 day ago",
        "SELECT count(*) FROM Log WHERE message RLIKE r'a.*' AND message LIKE '%x'",
    ],
)
def test_nothing_is_said_about_what_is_right_or_cannot_be_known(text: str) -> None:
    assert _told(text) == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("SELECT count(*) FROM Log SINCE 1 day ago", set[str]()),
        ("SELECT count(*) FROM Log", {"implicit_window"}),
        ("SELECT * FROM Log SINCE 1 day ago", {"implicit_limit"}),
        ("SELECT count(*) FROM Log FACET level UNTIL 1 day ago", {"implicit_limit"}),
        ("SELECT count(*) FROM Log FACET level LIMIT MAX", {"implicit_window"}),
        ("SHOW EVENT TYPES", {"implicit_window"}),
    ],
)
def test_defaults_are_said(text: str, kinds: set[str]) -> None:
    assert {each.kind for each in _remarks(text)} == kinds


def test_the_default_of_a_joined_statement_is_said_too() -> None:
    text = "FROM Log JOIN (FROM Transaction SELECT count(*) FACET traceId) ON trace.id = traceId SELECT count(*)"
    found = [each for each in _remarks(text) if each.kind == "implicit_limit"]
    assert [each.position for each in found] == [text.index("FACET")]
    assert "10 groups" in found[0].text


def test_without_knowledge_no_name_is_unknown() -> None:
    statement = parse("SELECT nothing FROM Nowhere SINCE 1 day ago LIMIT 5")
    assert checked(statement, event_types=(), attributes={}) == ()


def test_remarks_come_in_the_order_of_the_text() -> None:
    found = _remarks("SELECT average(port), max(duraton) FROM Transaction WHERE error = 'x' FACET apName")
    assert [each.position for each in found] == sorted(each.position for each in found)
    assert len(found) >= 5


def test_what_is_read_is_named_once() -> None:
    text = (
        "WITH duration * 2 AS d FROM Transaction JOIN (FROM Log SELECT count(*) AS n FACET trace.id) ON traceId ="
        " trace.id SELECT max(d), max(n), latest(appName) AS app WHERE appName IN (FROM PageView SELECT uniques(name))"
    )
    assert schemas_of(parse(text)) == ("Transaction", "Log", "PageView")
    assert [each.name for each in attributes_of(parse(text))] == ["duration", "trace.id", "traceId", "appName", "name"]


def test_columns_of_nested_statements_are_no_attributes() -> None:
    statement = parse("SELECT max(n), count(x) FROM (SELECT count(*) AS n FROM Log WHERE level = 'x' FACET message)")
    assert [each.name for each in attributes_of(statement)] == ["level", "message"]
    assert attributes_of(parse("SHOW EVENT TYPES")) == ()
    assert schemas_of(parse("SHOW EVENT TYPES")) == ()


def test_names_that_do_not_print_stay_out_of_remarks() -> None:
    found = _told("SELECT max(`a\x1b[31m" + "b" * 500 + "`) FROM Transaction")
    assert len(found) == 1
    assert found[0].text.isprintable()
    assert len(found[0].text) < 300
