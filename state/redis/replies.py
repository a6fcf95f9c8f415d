"""What error replies of Redis mean here: which say "not now", which point elsewhere, and which are answers."""

import re
from dataclasses import dataclass

from state.redis.wire import Away
from state.redis.wire import Refused

_NOT_NOW = {
    "LOADING": "it is still reading its files",
    "MASTERDOWN": "it is a replica without its master",
    "READONLY": "it is a replica that takes no writes",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving these keys",
    "NOREPLICAS": "it has too few replicas to take writes",
    "BUSY": "it is busy with a script",
}
_TOO_MANY = "max number of clients"
_INSIDE_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]+) ")
"""Before 7.0, what a command inside a script was told is hidden in the text of another error."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An error that Redis gave for an answer. What it answers was not carried out."""

    code: str
    text: str
    """With the code in front."""

    @property
    def moved(self) -> bool:
        """The key lives on another node, or is on its way there."""
        return self.code in {"MOVED", "ASK"}

    @property
    def unknown_script(self) -> bool:
        return self.code == "NOSCRIPT"

    @property
    def not_master(self) -> bool:
        """Whoever answered can take no writes: somebody else may."""
        return self.code in {"READONLY", "MASTERDOWN"}

    @property
    def not_now(self) -> str:
        """Why whoever was asked cannot do it now, though perhaps soon. Empty: this is its answer."""
        return "it has too many clients" if _TOO_MANY in self.text else _NOT_NOW.get(self.code, "")

    def error(self) -> Away | Refused:
        """What a caller sees."""
        return Away(self.not_now, sent=False) if self.not_now else Refused(self.text)


def wrong(code: str | None, text: str) -> Wrong:
    """`code`: if it was taken off the text already."""
    if code is None:
        first, _, _ = text.partition(" ")
        code, text = (first, text) if first.isupper() and first.isalpha() else ("ERR", f"ERR {text}")
    else:
        text = f"{code} {text}"
    inside = _INSIDE_SCRIPT.search(text) if code == "ERR" else None
    return Wrong(inside[1] if inside and inside[1] in _NOT_NOW else code, text)


class Broken(Exception):
    """The connection is of no use any more. The text says why in a few words."""

    def __init__(self, reason: str, *, answer: Wrong | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        """What Redis said instead of taking the connection. None: it said nothing."""

    @property
    def final(self) -> bool:
        """Whether Redis is there and does not want this caller: coming again is of no use."""
        return self.answer is not None and not self.answer.not_now
