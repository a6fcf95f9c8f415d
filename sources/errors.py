"""What can go wrong in a source, split by who can act on it.

SourceError
├── UnknownSchema, UnknownAttribute   the caller: use another name (carries suggestions)
├── QueryRejected                     the caller: change the query (carries the engine's own reason, bounded)
├── QueryTimeout                      the caller or time: narrow the query or allow more time
├── TooLarge                          the caller: ask for less
├── QuotaSpent                        time: wait `retry_after_s`
├── SourceUnreachable                 time: the source did not answer within `waited_s`
└── AccessDenied                      the operator: key, account or permission
"""


class SourceError(Exception):
    """A call to a source that could not be answered; `str()` is safe to show to a model."""


class UnknownSchema(SourceError):
    """No schema of that name; `suggestions` are the nearest existing names, best first.

    `within`: the range of time whose rows were looked for, where only schemas with rows in it are known.
    """

    def __init__(self, schema: str, suggestions: tuple[str, ...] = (), *, within: str | None = None) -> None:
        super().__init__(schema)
        self.schema = schema
        self.suggestions = suggestions
        self.within = within


class UnknownAttribute(SourceError):
    """The schema has no attribute of that name; `suggestions` are the nearest existing names, best first."""

    def __init__(self, schema: str, attribute: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(f"{schema}.{attribute}")
        self.schema = schema
        self.attribute = attribute
        self.suggestions = suggestions


class QueryRejected(SourceError):
    """The query is not allowed or not valid; `remedy` says what to change, or is empty."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class QueryTimeout(SourceError):
    """The query ran longer than `limit_s` seconds and was stopped; `remedy` says what would be faster, or is empty."""

    def __init__(self, limit_s: float, remedy: str = "") -> None:
        super().__init__(f"stopped after {limit_s:g} s")
        self.limit_s = limit_s
        self.remedy = remedy


class TooLarge(SourceError):
    """The answer or the memory it needs is over a limit; the text names the limit."""


class QuotaSpent(SourceError):
    """All capacity is in use; try again after `retry_after_s` seconds."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class SourceUnreachable(SourceError):
    """The source did not answer; `waited_s` seconds were spent on it."""

    def __init__(self, reason: str, waited_s: float = 0.0) -> None:
        super().__init__(reason)
        self.waited_s = waited_s


class AccessDenied(SourceError):
    """The source refused us; the text names the key, account or permission to change."""
