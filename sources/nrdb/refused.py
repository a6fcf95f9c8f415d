"""What is refused here: NRQL that this engine cannot answer exactly as NRDB would."""

from sources.errors import QueryRejected


class NotTranslated(QueryRejected):
    """A construct that is not run on local rows. It is named, since a wrong answer would be worse than none."""

    def __init__(self, reason: str, position: int = 0, remedy: str = "") -> None:
        """`position`: offset of the construct in the text, in characters."""
        super().__init__(reason, remedy)
        self.reason = reason
        self.position = position
