"""An event as the text that is stored and hashed: what is read back equals what was written."""

import json
from typing import Any
from typing import Final

from state.journal import Draft
from state.journal import Event

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encoded(draft: Draft) -> str:
    """The draft as one line of JSON. `ValueError`: a number in its body is not finite."""
    fields = [draft.at, draft.kind, draft.actor, draft.body, draft.key]
    return _ENCODE(fields)


def decoded(content: str | bytes, version: int, nonce: str) -> Event:
    """The event again."""
    fields: list[Any] = json.loads(content)
    at, kind, actor, body, key = fields
    return Event(version=version, nonce=nonce, at=at, kind=kind, actor=actor, body=body, key=key)
