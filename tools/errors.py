"""What a caller can get wrong before any source or session is asked.

ToolError
├── UnknownSource      the caller: use another name (carries the known ones)
└── InvalidArgument    the caller: change the named argument
"""


class ToolError(Exception):
    """A call that cannot be carried out as it was asked; `str()` is shown to the model."""


class UnknownSource(ToolError):
    """No source of that name; `known` are all that exist."""

    def __init__(self, source: str, known: tuple[str, ...]) -> None:
        super().__init__(source)
        self.source = source
        self.known = known


class InvalidArgument(ToolError):
    """An argument, or a combination of arguments, makes no sense; the text says which and what to pass instead."""
