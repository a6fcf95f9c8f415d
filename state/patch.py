"""The difference of two JSON documents as a JSON Patch: what to do to one to get the other.

Source: RFC 6902 (JSON Patch) and RFC 6901 (JSON Pointer).
"""

import json
from collections.abc import Iterator
from typing import Any
from typing import cast

Operation = dict[str, Any]
"""`{op, path}` and, but for `remove`, `value`."""


def difference(before: Any, after: Any) -> list[Operation]:
    """The operations that make `before` into `after`; none when they are the same JSON.

    Objects are compared member by member at every depth, and everything else is replaced as a whole. No operation
    touches what another one touched, so that their order does not matter.
    """
    return list(_changes("", before, after))


def _changes(path: str, before: Any, after: Any) -> Iterator[Operation]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        if not _same(before, after):
            yield {"op": "replace", "path": path, "value": after}
        return
    old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    yield from ({"op": "remove", "path": _below(path, name)} for name in old if name not in new)
    for name, value in new.items():
        if name not in old:
            yield {"op": "add", "path": _below(path, name), "value": value}
        else:
            yield from _changes(_below(path, name), old[name], value)


def _below(path: str, name: str) -> str:
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


def _same(left: Any, right: Any) -> bool:
    """As JSON text: unlike for Python, 1, 1.0 and true differ."""
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
