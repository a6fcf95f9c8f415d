"""The words of an NRQL text and their places. One pass, by an expression that never goes back, whatever it meets.

What may stand bare in a name (letters, digits, `_`, `.`, `:`) and that comments begin with `--`, `//` or `/*` is as New
Relic documents it. Source: docs.newrelic.com, "NRQL reference" and "How to use NRQL".
"""

import re
from collections.abc import Callable
from typing import Final
from typing import NoReturn

from sources.nrql.errors import NrqlError
from sources.nrql.errors import excerpt
from sources.nrql.tree import Nested
from sources.nrql.tree import Span

LONGEST: Final = 20_000
"""Characters of a statement."""
DEEPEST: Final = 60
"""Parentheses, functions, signs and statements inside one another."""

WORD: Final = 1
MARK: Final = 2
TEXT: Final = 3
NUMBER: Final = 4
QUOTED: Final = 5
END: Final = 6
_STRAY: Final = 7

_TOKEN: Final = re.compile(
    r"""\s*+(?>(?:--[^\n]*+|//[^\n]*+|/\*[^*]*+\*++(?:[^/*][^*]*+\*++)*+/)\s*+)*+
    (?:
        ((?![rR]['"])[^\W\d][\w.]*+(?::[^\W\d][\w.]*+)*+)
      | (<=|>=|!=|<>|==|[-+*%=<>(),:;\[\]{}]|/(?!\*))
      | ([rR]?+'(?:[^'\\]|\\.)*+'|[rR]?+"(?:[^"\\]|\\.)*+")
      | ((?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
      | (`[^`]*+(?:``[^`]*+)*+`)
      | (\Z)
      | (.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_STRAYS = {
    "'": ("a text begins here and never ends", "close it with a single quote; a quote inside it is written \\'"),
    '"': ("a text begins here and never ends", "close it, and better use single quotes"),
    "`": ("a name begins here and never ends", "close it with a backtick"),
    "/": ("a comment begins here and never ends", "close it with */"),
    "!": ("'!' alone is no operator", "write NOT before a condition, or != between two values"),
    "&": ("'&' is no operator", "write AND"),
    "|": ("'|' is no operator", "write OR; texts are joined by concat(a, b)"),
    "~": ("'~' is no operator", "write RLIKE r'...' to match a regular expression"),
}
_STRAYS.update(dict.fromkeys("rR", _STRAYS["'"]))
_BACKTICKS: Final = "a name with such a character needs backticks, like `odd name`"
_ESCAPE: Final = re.compile(r"""\\(["'\\ntr])""")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}


class Cursor:
    """A text as tokens, and the place reading has come to.

    `words` is what keywords and marks are compared with: words in lower case, marks as they are, and an empty string
    for texts, numbers, names in backticks and the end. `nested` reads a statement in parentheses.
    """

    __slots__ = ("at", "depth", "kinds", "nested", "operators", "spans", "text", "words")

    def __init__(self, text: str, nested: Callable[["Cursor"], Nested]) -> None:
        if len(text) > LONGEST:
            reason = f"the statement has {len(text):,} characters, and {LONGEST:,} is the most"
            raise NrqlError(reason, LONGEST, "ask for less at a time")
        self.text = text
        self.nested = nested
        self.at = 0
        self.depth = 0
        self.operators = 0
        self.words: list[str] = []
        self.kinds: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self._read()

    def _read(self) -> None:
        words, kinds, spans = self.words, self.kinds, self.spans
        for found in _TOKEN.finditer(_lowered(self.text)):
            kind = found.lastindex or END
            if kind == _STRAY:
                position = found.start(_STRAY)
                _refuse(self.text[position], position)
            kinds.append(kind)
            spans.append(found.span(kind))
            words.append(found[kind] if kind <= MARK else "")
        beyond = (len(self.text), len(self.text))
        kinds += (END, END)
        spans += (beyond, beyond)
        words += ("", "")

    @property
    def word(self) -> str:
        return self.words[self.at]

    @property
    def kind(self) -> int:
        return self.kinds[self.at]

    @property
    def position(self) -> int:
        return self.spans[self.at][0]

    def written(self, place: int) -> str:
        """The token at `place`, as it was written."""
        start, end = self.spans[place]
        return self.text[start:end]

    def since(self, place: int) -> Span:
        """From the beginning of the token at `place` to the end of the last one that was read."""
        return Span((self.spans[place][0], self.spans[self.at - 1][1]))

    def took(self, word: str, second: str | None = None) -> bool:
        """Read past this word, or these two, if they come next."""
        at = self.at
        if self.words[at] != word or (second is not None and self.words[at + 1] != second):
            return False
        self.at = at + (1 if second is None else 2)
        return True

    def deeper(self) -> None:
        """One more thing inside another; raises `NrqlError` when there are too many."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NrqlError(f"nested deeper than {DEEPEST} levels", self.position, "take the statement apart")


def _lowered(text: str) -> str:
    """In lower case at once and not word by word, every character in its place; few become two, and those stay."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join([each if len(each.lower()) > 1 else each.lower() for each in text])


def _refuse(found: str, position: int) -> NoReturn:
    """At once: what follows an opening quote would be looked through again and again for its end."""
    reason, remedy = _STRAYS.get(found, (f"'{excerpt(found)}' has no meaning here", _BACKTICKS))
    raise NrqlError(reason, position, remedy)


def unquoted(written: str) -> str:
    """The value of a text as it was written, `r'...'` included."""
    if written[0] in "rR":
        return written[2:-1]
    if "\\" not in written:
        return written[1:-1]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), written[1:-1])


def bare(written: str) -> str:
    """The name that was written in backticks."""
    return written[1:-1].replace("``", "`")
