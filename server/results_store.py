"""Where results are kept beyond the process, as the settings say. What is opened here neither raises nor waits."""

from typing import TYPE_CHECKING

from server.settings import Settings
from state.redis.keys import Keys
from state.redis.wire import Wire
from state.tier import LIFE_S
from state.tier import ResultTier

if TYPE_CHECKING:
    from state.resultfile.results import SqliteResults


def shared_results(settings: Settings, wire: Wire, keys: Keys) -> ResultTier | None:
    """Those of all instances. None: nothing is cached."""
    if settings.cache_ttl_s <= 0:
        return None
    from state.redis.results import RedisResults  # noqa: PLC0415 - a server that caches nothing need not read it

    return RedisResults(wire, keys=keys, life_s=_life_s(settings), fresh_s=_life_s(settings))


def results_file(settings: Settings) -> "SqliteResults | None":
    """Those of all processes of this machine. None: nothing is cached."""
    if settings.cache_ttl_s <= 0:
        return None
    from state.resultfile.file import RESULTS_NAME  # noqa: PLC0415 - a server that keeps nothing need not read it
    from state.resultfile.results import SqliteResults  # noqa: PLC0415

    return SqliteResults(settings.state_dir / RESULTS_NAME, life_s=_life_s(settings))


def _life_s(settings: Settings) -> float:
    return max(settings.cache_ttl_s, LIFE_S)
