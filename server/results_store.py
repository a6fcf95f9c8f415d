"""Where results are kept beyond the process, as the settings say."""

from server.settings import Settings
from state.tier import LIFE_S
from state.tier import ResultTier


def open_results(settings: Settings) -> ResultTier | None:
    """The tier behind the memory of results, which its cache closes. None: there is none. Never raises, never waits."""
    if settings.cache_ttl_s <= 0 or settings.store != "sqlite":
        return None
    from state.resultfile.file import RESULTS_NAME  # noqa: PLC0415 - a server that keeps nothing need not read it
    from state.resultfile.results import SqliteResults  # noqa: PLC0415

    return SqliteResults(settings.state_dir / RESULTS_NAME, life_s=max(settings.cache_ttl_s, LIFE_S))
