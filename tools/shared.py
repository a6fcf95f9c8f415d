"""How answers are known outside this process: what was asked of whom, in which form; and bytes for words of schemas."""

import json
from collections.abc import Hashable
from typing import Any
from typing import TypeVar

from sources.abilities import Identified
from sources.protocol import AttributeWords
from sources.protocol import Source
from state.tier import Codec
from state.tier import Shared
from tools.answer import ANSWERS_FORM

V = TypeVar("V")


def shared_as(source: Source, key: Hashable, codec: Codec[V]) -> Shared[V] | None:
    """`key`: of JSON values. None: the answers of this source stay in this process."""
    if not isinstance(source, Identified):
        return None
    return Shared(place=(ANSWERS_FORM, source.identity, source.name, source.scope, key), codec=codec)


class WordsCodec:
    """A list of attributes and their values, as JSON."""

    def encode(self, value: tuple[AttributeWords, ...]) -> bytes:
        return json.dumps([[each.attribute, each.values] for each in value], separators=(",", ":")).encode()

    def decode(self, body: bytes) -> tuple[AttributeWords, ...]:
        """Raises `ValueError`."""
        match json.loads(body):
            case [*found]:
                return tuple(_words(each) for each in found)
            case _:
                raise ValueError("not a list of words")


WORDS = WordsCodec()


def _words(found: Any) -> AttributeWords:
    match found:
        case [str(attribute), [*values]] if all(isinstance(each, str) for each in values):
            return AttributeWords(attribute=attribute, values=tuple(values))
        case _:
            raise ValueError("not words of an attribute")
