"""What the live sessions of one owner may hold together, and what is said when that is reached."""

from state.errors import OverLimit
from state.journal import Quota

_WAY_OUT = "Call close_session on those that are done (recall lists them), or wait until they expire."


def check_room(quota: Quota, *, sessions: int, events: int, size_bytes: int) -> None:
    """Raises `OverLimit` if an owner whose sessions would hold so much would hold too much."""
    if sessions > quota.sessions:
        raise OverLimit(f"you have {quota.sessions} open sessions, the most there may be. {_WAY_OUT}")
    if events > quota.events:
        raise OverLimit(f"your open sessions may hold {quota.events} events together. {_WAY_OUT}")
    if size_bytes > quota.size_bytes:
        raise OverLimit(f"your open sessions may hold {quota.size_bytes} bytes together. {_WAY_OUT}")
