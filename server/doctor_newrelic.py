"""`uds-mcp doctor --source newrelic`: whether New Relic answers, and whether it does as UDS takes for granted.

What can be pasted into a report holds shapes only; accounts and New Relic's own words stand apart from it.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Final

from server import __version__
from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.settings import Settings
from sources.errors import SourceError

if TYPE_CHECKING:
    from sources.newrelic.assumptions import Finding
    from sources.newrelic.client import NerdGraph

WITHIN_S: Final = 28.0
"""For everything. With what starting the command takes it stays under half a minute."""
_ACCOUNTS_WITHIN_S: Final = 8.0
_FINDING_OUT: Final = 0.5
"""Of the time: at most so much is spent on finding out what the account has to ask about."""
_ACCOUNTS_SHOWN: Final = 50
_MARKS: Final = {"confirmed": "ok     ", "differs": "DIFFERS", "not available": "-      "}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedNewRelic:
    """What was found out about one key."""

    region: str
    """The name of the region; never an address of the operator's own."""
    fault: str | None
    """Why nothing could be asked. None: something could. Not for others."""
    findings: "tuple[Finding, ...]"
    accounts: tuple[tuple[int, str], ...]
    """Id and name of each account that the key may query. Not for others."""
    configured: tuple[int, ...]
    requests: int
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether the configured accounts can be asked. An assumption that does not hold is told, and no failure."""
        return self.fault is None and bool(self.configured) and not self.foreign

    @property
    def foreign(self) -> tuple[int, ...]:
        """Configured accounts that the key may not query."""
        known = {number for number, _ in self.accounts}
        return tuple(number for number in self.configured if number not in known)


def doctor_newrelic(settings: Settings, *, as_json: bool) -> int:
    """Examine and print; the exit code says whether New Relic can be used as configured."""
    if settings.newrelic_key is None:
        print(  # noqa: T201 - the answer of the command
            "NEW_RELIC_API_KEY is not set. It must be a user key (NRAK-...): in New Relic, under API keys in the menu "
            "of your user, create a key of type User. Then run this command again."
        )
        return EXIT_FAILED
    examined = asyncio.run(
        examine_newrelic(
            region=settings.newrelic_region, key=settings.newrelic_key, accounts=settings.newrelic_accounts
        )
    )
    print(as_object(examined) if as_json else as_text(examined))  # noqa: T201
    return EXIT_DONE if examined.ok else EXIT_FAILED


async def examine_newrelic(
    *, region: str, key: str, accounts: Sequence[int], within_s: float = WITHIN_S
) -> ExaminedNewRelic:
    """Ask New Relic about everything that UDS takes for granted; `accounts` may be empty. Never raises for its answers.

    `region`: a name or an address, as NEW_RELIC_REGION. Raises `ValueError` for a region or a key that are none.
    """
    from sources.newrelic.client import NerdGraph  # noqa: PLC0415 - only this command needs it
    from sources.newrelic.regions import endpoint  # noqa: PLC0415

    began_s = time.perf_counter()
    graph = NerdGraph(endpoint=endpoint(region), key=key)
    until_s = asyncio.get_running_loop().time() + within_s
    known: tuple[tuple[int, str], ...] = ()
    found: tuple[Finding, ...] = ()
    fault = None
    try:
        known = await graph.accounts(within_s=min(_ACCOUNTS_WITHIN_S, within_s))
        found = await _findings(graph, known, tuple(accounts), until_s)
    except SourceError as refused:
        fault = str(refused)
    finally:
        await graph.aclose()
    return ExaminedNewRelic(
        region=graph.endpoint.region or "an address of your own",
        fault=fault,
        findings=found,
        accounts=known,
        configured=tuple(accounts),
        requests=graph.statistics().requests,
        took_s=time.perf_counter() - began_s,
    )


async def _findings(
    graph: "NerdGraph", known: Sequence[tuple[int, str]], accounts: tuple[int, ...], until_s: float
) -> "tuple[Finding, ...]":
    """About the first of the configured accounts that the key may query; without one there is nothing to look at."""
    from sources.newrelic.assumption_account import busiest  # noqa: PLC0415
    from sources.newrelic.assumption_checks import rounds  # noqa: PLC0415
    from sources.newrelic.assumptions import Looking  # noqa: PLC0415
    from sources.newrelic.assumptions import by_importance  # noqa: PLC0415
    from sources.newrelic.assumptions import examined  # noqa: PLC0415

    allowed = {number for number, _ in known}
    asked = tuple(number for number in accounts if number in allowed)
    if not asked:
        return ()
    now_s = asyncio.get_running_loop().time()
    account, listed = await busiest(
        graph, asked[0], now_ms=int(time.time() * 1_000), until_s=now_s + (until_s - now_s) * _FINDING_OUT
    )
    looking = Looking(graph=graph, account=account, accounts=asked)
    return by_importance((listed, *await examined(looking, rounds(), until_s=until_s)))


def as_text(examined: ExaminedNewRelic) -> str:
    """For a person: first what may be shown to others, then what may not."""
    return "\n".join([*_for_others(examined), "", *_for_the_operator(examined)])


def as_object(examined: ExaminedNewRelic) -> str:
    """JSON, with the same two parts."""
    findings = [asdict(finding) for finding in examined.findings]
    parts = {
        "ok": examined.ok,
        "for_a_report": {
            "uds_mcp": __version__,
            "region": examined.region,
            "reached": examined.fault is None,
            "accounts_configured": len(examined.configured),
            "requests": examined.requests,
            "took_s": round(examined.took_s, 1),
            "assumptions": [{key: value for key, value in each.items() if key != "detail"} for each in findings],
        },
        "not_for_others": {
            "fault": examined.fault,
            "accounts": [{"id": number, "name": name} for number, name in examined.accounts],
            "configured": list(examined.configured),
            "details": {each["name"]: each["detail"] for each in findings if each["detail"]},
        },
    }
    return json.dumps(parts, indent=2, ensure_ascii=False)


def _for_others(examined: ExaminedNewRelic) -> Iterator[str]:
    yield "--- New Relic: what may be pasted into a report (shapes only: no values, names, ids or keys) ---"
    yield f"uds-mcp {__version__}, region {examined.region}, {len(examined.configured)} accounts configured"
    if examined.fault is not None:
        yield "nothing could be asked; why stands below"
    elif not examined.findings:
        yield "the key works; assumptions are examined once NEW_RELIC_ACCOUNT_ID names an account that it may query"
    if examined.findings:
        yield "first what differs, then what holds, each with what most depends on it at its head"
    for finding in examined.findings:
        yield f"{_MARKS[finding.status]} {finding.name}: {finding.seen}"
        if finding.status == "differs":
            yield f"          expected: {finding.expected}"
    told = [finding.status for finding in examined.findings]
    counts = ", ".join(f"{told.count(status)} {status}" for status in _MARKS)
    yield f"{counts}; {examined.requests} requests in {examined.took_s:.1f} s"


def _for_the_operator(examined: ExaminedNewRelic) -> Iterator[str]:
    yield "--- for you only: not for pasting ---"
    if examined.fault is not None:
        yield examined.fault
        return
    yield f"accounts that the key may query: {len(examined.accounts)}"
    for number, name in examined.accounts[:_ACCOUNTS_SHOWN]:
        yield f"  {'*' if number in examined.configured else ' '} {number}  {_one_line(name)}"
    if len(examined.accounts) > _ACCOUNTS_SHOWN:
        yield f"    and {len(examined.accounts) - _ACCOUNTS_SHOWN} more: --json lists all"
    for number in examined.foreign:
        yield f"  ! {number} of NEW_RELIC_ACCOUNT_ID is none of them"
    if not examined.configured:
        yield "set NEW_RELIC_ACCOUNT_ID to one of them, or to several separated by commas"
    for finding in examined.findings:
        if finding.detail:
            yield f"  {finding.name}: {_one_line(finding.detail)}"


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:300])
