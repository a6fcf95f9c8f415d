"""What a request is answered: the fields of the schema, resolved over the accounts. One `Turn` per request."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from typing import Final

from graphql import GraphQLError

from server.simulator.accounts import Account
from server.simulator.background import LONGEST_S
from server.simulator.dictionary import events
from server.simulator.estate import Estate
from server.simulator.estate import Past
from server.simulator.faults import Fails
from server.simulator.faults import Fault
from server.simulator.faults import Partial
from server.simulator.faults import Slow
from server.simulator.lookups import entity_search
from server.simulator.lookups import query_history
from server.simulator.lookups import reporting
from server.simulator.statements import answered_across
from server.simulator.statements import timed_out
from server.simulator.statements import too_many

_TIMEOUT_LEAST_S: Final = 5
_TIMEOUT_MOST_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request: `fault` is what happens to its statements, if anything does."""

    estate: Estate
    fault: Fault | None

    def root(self) -> Mapping[str, Any]:
        return {"actor": self._actor(), "docs": {"dataDictionary": {"events": _events}}}

    def _actor(self) -> Mapping[str, Any]:
        return {
            "user": {"id": 1, "name": "Simulated user", "email": "user@example.invalid"},
            "account": self._account,
            "accounts": [self._outline(account) for account in self.estate.accounts.values()],
            "nrql": self._nrql_across,
            "nrqlQueryProgress": self._progress_across,
            "entitySearch": partial(entity_search, self.estate),
            "queryHistory": {"nrql": partial(query_history, self.estate)},
        }

    def _account(self, _asked: object, id: int) -> Mapping[str, Any]:  # noqa: A002 - as the schema has it
        known = self.estate.accounts.get(id)
        return {
            "id": id,
            "name": known.name if known else partial(_refuse_account, id),
            "nrql": partial(self._nrql, (id,)),
            "nrqlQueryProgress": partial(self._progress, (id,)),
        }

    def _outline(self, account: Account) -> Mapping[str, Any]:
        return {"id": account.id, "name": account.name, "reportingEventTypes": partial(reporting, self.estate, account)}

    async def _nrql_across(self, asked: Any, accounts: list[int], **options: Any) -> Any:
        most = self.estate.limits.accounts_at_once
        if not 1 <= len(accounts) <= most:
            raise GraphQLError(f"A query may name 1 to {most} accounts, not {len(accounts)}")
        return await self._nrql(tuple(accounts), asked, **options)

    async def _progress_across(self, asked: Any, accounts: list[int], **options: Any) -> Any:
        return await self._progress(tuple(accounts), asked, **options)

    async def _nrql(self, accounts: tuple[int, ...], asked: Any, query: str, **options: Any) -> Any:
        known = self._known(accounts)
        self._fail(asked, query)
        self._count(accounts, query)
        within_s = min(max(options.get("timeout") or _TIMEOUT_LEAST_S, _TIMEOUT_LEAST_S), _TIMEOUT_MOST_S)
        takes_s = self.fault.takes_s if isinstance(self.fault, Slow) else self.estate.takes_s(query)
        if options.get("async"):
            _may_wait(known)
            if takes_s > within_s:
                begun = self.estate.background.begin(accounts, query, takes_s, self.estate.clock())
                return {"nrql": query, "queryProgress": begun}
        if takes_s > within_s:
            raise timed_out()
        return self._altered(await answered_across(self.estate.threads, known, query, within_s=within_s))

    async def _progress(self, accounts: tuple[int, ...], _asked: object, queryId: str) -> Any:  # noqa: N803
        known = self._known(accounts)
        looked = self.estate.background.look(queryId, accounts, self.estate.clock())
        if isinstance(looked, str):
            raise GraphQLError(looked)
        pending, progress = looked
        if self.estate.clock() >= pending.began_s + LONGEST_S < pending.ready_s:
            raise timed_out()
        if not progress["completed"]:
            return {"nrql": pending.text, "queryProgress": progress}
        done = await answered_across(self.estate.threads, known, pending.text, within_s=LONGEST_S)
        return self._altered({**done, "queryProgress": progress})

    def _known(self, accounts: Sequence[int]) -> tuple[Account, ...]:
        for account in accounts:
            if account not in self.estate.accounts:
                _refuse_account(account)
        return tuple(self.estate.accounts[account] for account in accounts)

    def _fail(self, asked: Any, query: str) -> None:
        fault = self.fault
        if not isinstance(fault, Fails) or fault.containing not in query:
            return
        names = {str(key) for key in asked.path.as_list()}
        if fault.aliases is None or fault.aliases & names:
            raise GraphQLError(fault.message, extensions=extensions(fault.error_class, fault.error_code))

    def _count(self, accounts: tuple[int, ...], query: str) -> None:
        now_s = self.estate.clock()
        for account in accounts:
            if why := self.estate.quota.take(account, query, now_s):
                raise too_many(why)
        self.estate.history.appendleft(Past(accounts=accounts, at=now_s, text=query))

    def _altered(self, container: dict[str, Any]) -> dict[str, Any]:
        return _partial(container, self.fault) if isinstance(self.fault, Partial) else container


def extensions(error_class: str | None, error_code: str | None) -> dict[str, Any]:
    """What stands beside the message of an error, as far as it is told."""
    told = {"errorClass": error_class, "error_code": error_code}
    return {name: value for name, value in told.items() if value is not None}


def _refuse_account(account: int, _asked: object = None) -> None:
    raise GraphQLError(f"You are not authorized to query account {account}")


def _may_wait(accounts: Sequence[Account]) -> None:
    if not all(account.data_plus for account in accounts):
        raise GraphQLError("Asynchronous queries need Data Plus, which this account does not have")


def _events(_asked: object, names: list[str] | None = None) -> list[dict[str, Any]]:
    return events(names)


def _partial(container: dict[str, Any], fault: Partial) -> dict[str, Any]:
    metadata = dict(container.get("metadata") or {})
    raw = dict(container.get("rawResponse") or {})
    statistics = dict(raw.get("performanceStats") or {})
    statistics |= {"omittedCount": fault.omitted, "exceedsRetentionWindow": fault.exceeds_retention}
    return {
        **container,
        "metadata": {**metadata, "messages": [*(metadata.get("messages") or ()), *fault.messages]},
        "rawResponse": {**raw, "performanceStats": statistics},
    }
