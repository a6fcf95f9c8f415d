"""What can go wrong with what is remembered; every text is safe to show to a model and says what to do.

StateError
├── UnknownSession, UnknownGoal   the caller: use another handle or goal
├── GoalClosed                    the caller: the transition is not in the table
├── Conflict                      the caller: look again, decide again
├── OverLimit                     the caller: keep less, or close something
├── InvalidValue                  the caller: change the value
├── StateBusy                     time: wait `retry_after_s`
└── StateUnavailable              the operator: disk, permission or a damaged file
"""


class StateError(Exception):
    """A call to a session that could not be carried out."""


class UnknownSession(StateError):
    """No open session for this caller; the text is the same for unknown, expired, closed and foreign handles."""

    def __init__(self) -> None:
        super().__init__(
            "no open session of yours has this handle (unknown, expired or closed). "
            "Call recall without a session to list yours, or open_session to start one."
        )


class UnknownGoal(StateError):
    """No goal fits; the text says which goals there are or how to open one."""


class GoalClosed(StateError):
    """The goal is in a status from which the wanted one cannot be reached."""

    def __init__(self, goal: str, status: str, wanted: str) -> None:
        super().__init__(
            f'goal {goal} is {status}: {status} -> {wanted} is not possible. Set its status to "active" first.'
        )
        self.status = status
        self.wanted = wanted


class Conflict(StateError):
    """The write was guarded by an etag and what it writes has moved since; nothing was written."""

    def __init__(self, etag: str, fields: tuple[str, ...], reason: str = "") -> None:
        moved = ", ".join(fields) or "the session"
        super().__init__(
            f"{reason or f'{moved} changed since the etag you passed'}; the current etag is {etag}. "
            "Call recall, decide again, and pass the current etag or none."
        )
        self.etag = etag
        """The current etag of the session."""
        self.fields = fields
        """What moved, e.g. `context.region` or `goal`. Empty: the etag itself is not one of this session."""


class OverLimit(StateError):
    """A bound on sizes or counts was reached; the text names it and the way out."""


class InvalidValue(StateError):
    """An argument cannot be kept as it is; the text says why."""


class StateBusy(StateError):
    """Others hold the place where state is kept; nothing was written. Worth trying again after `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class StateUnavailable(StateError):
    """State cannot be written, or this part of it cannot be read; the text names the path and what to do."""
