"""Random statements: each is answered or refused by name, and no SQL that is made of one is rejected by the engine."""

import random
from collections.abc import Iterator

import pytest

from sources.nrdb.local import LocalNrdb
from sources.nrdb.refused import NotTranslated

NOW_S = 1_700_000_000
_ROWS = f"""
SELECT {NOW_S}000 - i * 60000 AS timestamp, i % 3 AS a, i * 0.5::DOUBLE AS x, 's' || i % 4 AS s, i % 2 = 0 AS b,
  (i * 7)::VARCHAR AS st FROM range(1, 60) AS t(i)
"""
_OTHERS = f"SELECT {NOW_S}000 - i * 90000 AS timestamp, 's' || i % 5 AS s, i AS y FROM range(1, 30) AS t(i)"
_ONES = ("abs", "ceil", "sqrt", "ln", "round", "lower", "length", "numeric", "string", "boolean", "hourOf", "dateOf")
_MANY = ("sum", "average", "min", "max", "stddev", "count", "uniqueCount", "uniques", "latest", "percentile", "apdex")


@pytest.fixture(scope="module")
def nrdb() -> Iterator[LocalNrdb]:
    found = LocalNrdb(tables={"T": _ROWS, "U": _OTHERS}, clock=lambda: float(NOW_S), fit=False)
    yield found
    found.close()


class Writer:
    """Writes statements at random; most of them make some sense."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - the same statements every time

    def one(self, *choices: str) -> str:
        return self._chance.choice(choices)

    def name(self) -> str:
        return self.one("a", "x", "s", "b", "st", "zz", "timestamp", "y")

    def value(self, depth: int = 0) -> str:
        if depth > 2 or self._chance.random() < 0.5:
            return self.one(self.name(), self.name(), "1", "0.5", "-3", "'s1'", "true", "eventType()")
        inner = self.value(depth + 1)
        return self.one(
            f"({inner} {self.one('+', '-', '*', '/', '%')} {self.value(depth + 1)})",
            f"{self.one(*_ONES)}({inner})",
            f"if({self.condition(depth + 1)}, {inner}, {self.value(depth + 1)})",
            f"concat({inner}, '-')",
            f"capture({self.name()}, r'(?P<c>.).*')",
        )

    def condition(self, depth: int = 0) -> str:
        simple = self.one(
            f"{self.value(depth + 1)} {self.one('=', '!=', '<', '>=')} {self.value(depth + 1)}",
            f"{self.name()} LIKE '%s1%'",
            f"{self.value(depth + 1)} IS {self.one('', 'NOT ')}{self.one('NULL', 'TRUE')}",
            f"{self.name()} {self.one('', 'NOT ')}IN ('s1', 5)",
            "s IN (SELECT uniques(s) FROM U)",
        )
        return (
            simple if depth > 1 else self.one(simple, f"NOT ({simple})", f"({simple} OR {self.condition(depth + 1)})")
        )

    def aggregate(self, depth: int = 0) -> str:
        if depth > 2:
            return "count(*)"
        inner = self.aggregate(depth + 1)
        return self.one(
            "count(*)",
            f"{self.one(*_MANY)}({self.value(2)})",
            f"filter({inner}, WHERE {self.condition(1)})",
            f"percentage(count(*), WHERE {self.condition(1)})",
            f"rate({inner}, 1 minute)",
            f"({inner} / {self.aggregate(depth + 1)})",
            f"histogram({self.name()}, 10, 5)",
        )

    def facets(self) -> str:
        return self.one(
            f"CASES(WHERE {self.condition(2)} AS 'one', WHERE {self.condition(2)})",
            f"buckets({self.name()}, 10, 4)",
            f"{self.value(1)}, {self.name()}",
            self.name(),
        )

    def statement(self) -> str:
        inner = f"(SELECT {self.aggregate()} AS x, count(*) AS a FROM T FACET s{self.one('', ' TIMESERIES')} LIMIT 5)"
        joined = "T JOIN (FROM U SELECT count(*) AS j FACET s AS k LIMIT MAX) ON s = k"
        source = self.one("T", "U", "T, U", "Nope", inner, joined)
        tail = self.one("", f" WHERE {self.condition()}") + self.one("", " SINCE 30 minutes ago")
        if self._chance.random() < 0.3:
            return f"FROM {source} SELECT {self.one('*', self.value())} ORDER BY {self.value(2)}{tail} LIMIT 5"
        group = self.one("", f" FACET {self.facets()}") + self.one("", " TIMESERIES 7 minutes")
        compared = self.one("", "", " COMPARE WITH 30 minutes ago") if "SINCE" in tail else ""
        return f"FROM {source} SELECT {self.aggregate()}, {self.aggregate()} AS other{tail}{group}{compared}"


@pytest.mark.parametrize("seed", range(4))
def test_every_statement_is_answered_or_refused_by_name(nrdb: LocalNrdb, seed: int) -> None:
    writer = Writer(seed)
    told = [_told(nrdb, writer.statement()) for _ in range(100)]
    assert [each for each in told if "local engine" in each] == []
    assert told.count("") >= 30


def _told(nrdb: LocalNrdb, text: str) -> str:
    """Why it was refused, and the statement; empty when it was answered."""
    try:
        nrdb.run(text)
    except NotTranslated as refusal:
        return f"{refusal}: {text}"
    return ""
