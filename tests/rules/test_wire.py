"""Frames between the server and a worker: what is sent arrives, and nothing else is believed."""

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.duckdb.wire import FRAME_BYTES
from sources.duckdb.wire import HEADER
from sources.duckdb.wire import Frame
from sources.duckdb.wire import MalformedFrame
from sources.duckdb.wire import packed
from sources.duckdb.wire import read_frame
from sources.protocol import Json

_ANY_TEXT = st.text(st.characters(codec=None))
_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
FRAMES: st.SearchStrategy[Frame] = st.dictionaries(_ANY_TEXT, _VALUES, max_size=5)


@given(st.lists(FRAMES, max_size=4))
def test_frames_arrive_as_they_were_sent_and_the_end_is_clean(frames: list[Frame]) -> None:
    stream = io.BytesIO(b"".join(packed(frame) for frame in frames))
    assert [read_frame(stream.read) for _ in frames] == frames
    assert read_frame(stream.read) is None


@given(FRAMES, st.data())
def test_a_frame_cut_short_is_refused(frame: Frame, data: st.DataObject) -> None:
    whole = packed(frame)
    kept = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(MalformedFrame):
        read_frame(io.BytesIO(whole[:kept]).read)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_harm_than_a_refusal(noise: bytes) -> None:
    try:
        read = read_frame(io.BytesIO(noise).read)
    except MalformedFrame:
        return
    assert read is None or isinstance(read, dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe",
        b'{"a":1} x',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedFrame):
        read_frame(io.BytesIO(HEADER.pack(len(body)) + body).read)


def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    asked: list[int] = []

    def read(count: int) -> bytes:
        asked.append(count)
        return HEADER.pack(FRAME_BYTES + 1)

    with pytest.raises(MalformedFrame):
        read_frame(read)
    assert asked == [HEADER.size]


def test_what_json_cannot_say_is_not_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        packed({"a": math.nan})


def test_lone_surrogates_survive() -> None:
    stream = io.BytesIO(packed({"a": "\ud800"}))
    assert json.dumps(read_frame(stream.read)) == '{"a": "\\ud800"}'
