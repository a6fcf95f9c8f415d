"""Spans and instants as text."""

import pytest

from tools.errors import InvalidArgument
from tools.times import rfc3339
from tools.times import span_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("7d", 604800), (" 500ms ", 0.5)],
)
def test_a_span_is_read_as_seconds(text: str, seconds: float) -> None:
    assert span_s(text, name="ttl") == seconds


@pytest.mark.parametrize("text", ["", "h", "1 week", "-1h", "1h30m", "1e9", "\u0661h"])
def test_anything_else_is_refused_and_shows_what_to_pass(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r'ttl is .* pass a span such as "90s"'):
        span_s(text, name="ttl")


def test_an_instant_is_written_in_utc() -> None:
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500Z"
