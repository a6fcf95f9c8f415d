"""The bytes of results: they come back as they were, and whatever else the bytes are, nothing but a refusal happens."""

import hashlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.protocol import AttributeWords
from state.compressing import compressed
from state.packing import COMPRESSED_FROM_BYTES
from state.packing import LARGEST_BYTES
from state.packing import Packed
from state.packing import Unreadable
from state.packing import pack
from state.packing import unpack
from tools.answer import ANSWERS_FORM
from tools.answer import PREPARED
from tools.answer import Answer
from tools.answer import Prepared
from tools.answer import Provenance
from tools.describe_schema import DescribedAttribute
from tools.describe_schema import SchemaDescribed
from tools.profile_attribute import AttributeProfiled
from tools.profile_attribute import Bucket
from tools.profile_attribute import TextFormat
from tools.profile_attribute import TopValue
from tools.run_query import Column
from tools.run_query import QueryAnswered
from tools.shared import WORDS

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(
    body=st.binary(max_size=200) | st.binary(min_size=1, max_size=9).map(lambda some: some * COMPRESSED_FROM_BYTES),
    tags=st.lists(_TEXTS, max_size=4).map(tuple),
    size_bytes=st.integers(0, 2**40),
    under=_TEXTS,
)
def test_a_result_comes_back_as_it_was(body: bytes, tags: tuple[str, ...], size_bytes: int, under: str) -> None:
    packed = Packed(body=body, tags=tags, size_bytes=size_bytes, under=under)
    assert unpack(pack(packed)) == packed


def test_large_bodies_are_compressed_and_small_ones_are_not() -> None:
    small = pack(Packed(body=b"x" * (COMPRESSED_FROM_BYTES - 1), tags=(), size_bytes=1, under=""))
    large = pack(Packed(body=b"x" * COMPRESSED_FROM_BYTES, tags=(), size_bytes=1, under=""))
    assert len(large) < 100 < len(small)


@given(st.binary(max_size=100))
def test_bytes_of_anything_else_are_refused(some: bytes) -> None:
    for each in (some, b"UDSR" + some):
        with pytest.raises(Unreadable):
            unpack(each)


_WHOLE = pack(Packed(body=b"some body " * 1_000, tags=("a", "b"), size_bytes=3, under="1-x"))


@pytest.mark.parametrize("flip", [1, 2, 128, 255])
def test_a_flipped_byte_is_always_noticed(flip: int) -> None:
    for place in range(len(_WHOLE)):
        damaged = bytearray(_WHOLE)
        damaged[place] ^= flip
        with pytest.raises(Unreadable):
            unpack(bytes(damaged))


@given(st.integers(0, len(_WHOLE) - 1))
def test_a_cut_is_always_noticed(length: int) -> None:
    with pytest.raises(Unreadable):
        unpack(_WHOLE[:length])


def _forged(header: object, body: bytes, *, flags: int) -> bytes:
    told = json.dumps(header).encode()
    front = b"UDSR" + bytes([1, flags]) + len(told).to_bytes(4)
    return front + zlib.crc32(front + told + body).to_bytes(4) + told + body


@pytest.mark.parametrize(
    "header", [None, [], {}, ["u", 1], ["u", -1, []], ["u", "1", []], ["u", 1, [1]], [1, 1, []], ["u", 1, "tags"]]
)
def test_a_header_of_another_shape_is_refused(header: object) -> None:
    assert unpack(_forged(("u", 1, ["t"]), b"body", flags=0)).body == b"body"
    with pytest.raises(Unreadable):
        unpack(_forged(header, b"body", flags=0))


def test_what_would_grow_beyond_all_bounds_is_refused_and_never_held() -> None:
    bomb = compressed(b"\0" * (LARGEST_BYTES + 1))
    assert len(bomb) < 10_000
    with pytest.raises(Unreadable):
        unpack(_forged(("u", 1, ()), bomb, flags=1))
    with pytest.raises(ValueError, match="too large"):
        pack(Packed(body=b"\0" * (LARGEST_BYTES + 1), tags=(), size_bytes=1, under=""))


def _prepared(body: dict[str, Any], provenance: dict[str, Any], queries: list[str], schemas: list[str]) -> Prepared:
    text = json.dumps({**body, "provenance": provenance}, ensure_ascii=False, separators=(",", ":"))
    return Prepared(body, provenance, text[:-2], tuple(queries), tuple(schemas))


@given(
    body=st.dictionaries(_TEXTS.filter(lambda name: name != "provenance"), _JSON, max_size=4),
    provenance=st.dictionaries(_TEXTS, _JSON, min_size=1, max_size=4),
    queries=st.lists(_TEXTS, max_size=3),
    schemas=st.lists(_TEXTS, max_size=3),
)
def test_an_answer_comes_back_as_it_was(
    body: dict[str, Any], provenance: dict[str, Any], queries: list[str], schemas: list[str]
) -> None:
    answer = _prepared(body, provenance, queries, schemas)
    again = PREPARED.decode(PREPARED.encode(answer))
    assert again == answer
    assert list(again.body) == list(answer.body)


@given(st.binary(max_size=60) | st.sampled_from([b"[[],[]]\n[1]", b"[[],[]]\n{", b"[[1],[]]\n{}", b'[[],[]]\n{"a":{']))
def test_bytes_that_are_no_answer_or_no_words_are_refused_as_values(some: bytes) -> None:
    for codec in (PREPARED, WORDS):
        if some != b"[]":
            with pytest.raises(ValueError):  # noqa: PT011 - whichever; the promise is its kind
                codec.decode(some)


def test_words_come_back_as_they_were() -> None:
    words = (AttributeWords(attribute="a", values=("x", "ü")), AttributeWords(attribute="b", values=()))
    assert WORDS.decode(WORDS.encode(words)) == words


def test_the_form_of_answers_is_raised_when_their_shape_changes() -> None:
    """If this fails: raise `ANSWERS_FORM`, and write down the new digest here."""
    kept: list[type[Answer]] = [SchemaDescribed, AttributeProfiled, QueryAnswered]
    kept += [DescribedAttribute, TopValue, Bucket, TextFormat, Column, Provenance]
    shapes = [[each.__name__, *each.model_fields] for each in kept]
    digest = hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]
    assert (ANSWERS_FORM, digest) == (1, "a2b03791516b6202")
