"""Argument types that several tools share: one meaning, one bound, one sentence each."""

import json
from typing import Annotated
from typing import Any

from pydantic import BeforeValidator
from pydantic import Field

from tools import limits


def list_from_text(value: Any) -> Any:
    """Some hosts send a list as JSON text, or a single name bare."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return [value]
    return [value]


ShortText = Annotated[str, Field(max_length=200)]
Name = Annotated[str, Field(max_length=limits.NAME_CHARS_MOST)]
Names = Annotated[list[Name], BeforeValidator(list_from_text), Field(max_length=limits.ATTRIBUTES_NAMED_MOST)]
SchemaName = Annotated[Name, Field(description="name from list_schemas")]
SourceName = Annotated[Name | None, Field(description="default: the one that has it")]
SessionHandle = Annotated[ShortText | None, Field(description="handle; notes this call in the session")]
Handle = Annotated[str, Field(max_length=200, description="session handle")]
Cursor = Annotated[Annotated[str, Field(max_length=400)] | None, Field(description="next_cursor of the last answer")]
Etag = Annotated[
    Annotated[str, Field(max_length=100)] | None, Field(description="etag seen; refuse if this field moved since")
]
IdempotencyKey = Annotated[ShortText | None, Field(description="same key, one effect")]
Text = Annotated[str, Field(max_length=limits.TEXT_CHARS_MOST)]
