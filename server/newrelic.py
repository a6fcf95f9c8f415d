"""New Relic accounts as sources of this server: one for each account, all behind one client."""

from contextlib import AsyncExitStack

from server.settings import Settings
from sources.newrelic.client import NerdGraph
from sources.newrelic.regions import endpoint
from sources.newrelic.source import NewRelicSource


def newrelic_sources(stack: AsyncExitStack, settings: Settings, key: str) -> tuple[NewRelicSource, ...]:
    """Sources named `newrelic`, or `newrelic-<account>` when there are several. They ask nothing until they are asked.

    Statements for several accounts travel in one request, because all of them share one client.
    """
    graph = NerdGraph(endpoint=endpoint(settings.newrelic_region), key=key)
    stack.push_async_callback(graph.aclose)
    sources = tuple(
        NewRelicSource(
            graph=graph,
            account=account,
            name="newrelic" if len(settings.newrelic_accounts) == 1 else f"newrelic-{account}",
            window_s=settings.newrelic_window_s,
            history=settings.newrelic_history,
        )
        for account in settings.newrelic_accounts
    )
    for source in sources:
        stack.push_async_callback(source.aclose)
    return sources
