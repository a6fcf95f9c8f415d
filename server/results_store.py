"""Where results are kept beyond the process, as the settings say. What is opened here neither raises nor waits."""

from typing import TYPE_CHECKING

from server.settings import Settings
from state.redis.keys import Keys
from state.redis.wire import Wire
from state.tier import LIFE_S
from state.tier import ResultTier

if TYPE_CHECKING:
    from state.resultfile.results import SqliteResults

_FRESH_S = 86_400.0
"""After a day one instance measures anew, while the others go on answering what is there, with its age."""


def shared_results(settings: Settings, wire: Wire, keys: Keys) -> ResultTier | None:
    """Those of all instances. None: nothing is cached."""
    if settings.cache_ttl_s <= 0:
        return None
    from state.redis.results import RedisResults  # noqa: PLC0415 - a server that caches nothing need not read it

    return RedisResults(
        wire, keys=keys, fresh_s=max(settings.cache_ttl_s, _FRESH_S), life_s=max(settings.cache_ttl_s, LIFE_S)
    )


def results_file(settings: Settings) -> "SqliteResults | None":
    """Those of all processes of this machine. None: nothing is cached."""
    if settings.cache_ttl_s <= 0:
        return None
    from state.resultfile.file import RESULTS_NAME  # noqa: PLC0415 - as above
    from state.resultfile.results import SqliteResults  # noqa: PLC0415 - as above

    return SqliteResults(settings.state_dir / RESULTS_NAME, life_s=max(settings.cache_ttl_s, LIFE_S))
