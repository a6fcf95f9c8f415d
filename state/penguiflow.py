"""Penguiflow's `StateStore` over a journal of ours: durable, bounded, of one principal, and safe for many processes.

    journal = SqliteJournal(Path("agents.db"), clock=time.time, quota=Quota(sessions=20_000))
    flow = create(..., state_store=PenguiflowStore(journal, principal="ann"))

It keeps JSON only, asks for Penguiflow's classes by what they hold, and imports them when one must be made again.
Source of what each method must do: Penguiflow's StateStore specification and protocols, release 3.11.2.
"""

import json
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from typing import Final

from state.errors import OverLimit
from state.journal import Journal
from state.penguiflow_artifacts import PenguiflowArtifacts
from state.penguiflow_bounds import Bounds
from state.penguiflow_json import plain
from state.penguiflow_json import written
from state.penguiflow_models import Fields
from state.penguiflow_models import Foreign
from state.penguiflow_models import Models
from state.penguiflow_models import OfBinding
from state.penguiflow_models import OfSteering
from state.penguiflow_models import OfTask
from state.penguiflow_models import OfTrace
from state.penguiflow_models import OfTrajectory
from state.penguiflow_models import OfUpdate
from state.penguiflow_models import installed_models
from state.penguiflow_places import Place
from state.penguiflow_places import Places
from state.penguiflow_strands import Strands
from state.penguiflow_strands import Wish

_NO_TRACE: Final = "__global__"
"""Where events lie that belong to no trace."""


class PenguiflowStore:
    """All 21 methods of the store, its artifacts, and the three names that older releases used.

    Every method may raise `StateBusy` and `StateUnavailable`, those that save also `OverLimit`; what is not there is
    None or an empty list. For one event loop; other loops and processes open a store of their own over their journal.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        principal: str,
        clock: Callable[[], float] = time.time,
        bounds: Bounds | None = None,
        models: Models | None = None,
    ) -> None:
        """`clock` is the journal's own: seconds since 1970. `models`: None means those of the installed Penguiflow."""
        self._bounds = bounds or Bounds()
        self._given_models = models
        self._places = Places(principal, self._bounds)
        self._strands = Strands(journal, clock)
        self._artifacts = PenguiflowArtifacts(journal, self._places, clock, self._bounds, self._models)

    # What a flow did, and with whom

    async def save_event(self, event: OfTrace) -> None:
        """Keep a runtime event; an equal one is kept once."""
        record = plain(event)
        await self._save(self._places.events(event.trace_id or _NO_TRACE), _fingerprint(record), record)

    async def load_history(self, trace_id: str) -> Sequence[Foreign]:
        """The events of a trace by their instant, those of one instant as they were saved."""
        records = await self._strands.records(self._places.events(trace_id))
        return [self._models().stored_event(each) for each in sorted(records, key=_instant)]

    async def save_remote_binding(self, binding: OfBinding) -> None:
        """Keep a binding in place of an earlier one of the same trace, context and task."""
        record_id = _binding_id(binding.trace_id, binding.context_id, binding.task_id)
        await self._save(self._places.bindings(), record_id, plain(binding))

    async def find_binding(
        self,
        *,
        router_session_id: str,
        agent_url: str,
        remote_skill: str,
        tenant_id: str | None = None,
        user_id: str | None = None,
    ) -> Foreign | None:
        """The latest binding that is not terminal and agrees in everything, tenant and user included. None: none."""
        wanted: Fields = {
            "router_session_id": router_session_id,
            "agent_url": agent_url,
            "remote_skill": remote_skill,
            "tenant_id": tenant_id,
            "user_id": user_id,
            "is_terminal": False,
        }
        found = [each for each in await self._bindings() if wanted.items() <= each.items()]
        return self._models().remote_binding(found[-1]) if found else None

    async def list_bindings(self, *, router_session_id: str) -> Sequence[Foreign]:
        """All bindings of a router session, terminal ones too, in the order in which they were first saved."""
        found = [each for each in await self._bindings() if each.get("router_session_id") == router_session_id]
        return [self._models().remote_binding(each) for each in found]

    async def mark_binding_terminal(self, *, trace_id: str, context_id: str | None, task_id: str) -> None:
        """End a binding, whatever else is saved of it meanwhile. Ignored when there is none."""

        def ended(before: str | None) -> Fields | None:
            return None if before is None else {**json.loads(before), "is_terminal": True}

        record_id = _binding_id(trace_id, context_id, task_id)
        await self._strands.write(Wish(place=self._places.bindings(), record_id=record_id, decide=ended))

    # Planners that wait, and what they remember

    async def save_planner_state(self, token: str, payload: dict[str, Any]) -> None:
        """Keep a paused planner until it is resumed, for `Bounds.pause_life_s` at most."""
        await self._save(self._places.pause(token), "", plain(payload))

    async def load_planner_state(self, token: str) -> dict[str, Any] | None:
        """The paused planner, which is then gone: of all who ask, one gets it. None: unknown, expired or taken."""
        text = await self._strands.take_out(self._places.pause(token))
        return None if text is None else json.loads(text)

    async def save_memory_state(self, key: str, state: dict[str, Any]) -> None:
        """Keep a memory in place of an earlier one."""
        await self._save(self._places.memory(key), "", plain(state))

    async def load_memory_state(self, key: str) -> dict[str, Any] | None:
        """The memory that was saved last. None: none was."""
        return await self._only(self._places.memory(key))

    # Tasks of a session

    async def save_task(self, state: OfTask) -> None:
        """Keep the state of a task in place of an earlier one."""
        await self._save(self._places.tasks(state.session_id), state.task_id, plain(state))

    async def list_tasks(self, session_id: str) -> Sequence[Foreign]:
        """The tasks of a session, in the order in which they were first saved."""
        texts = await self._strands.texts(self._places.tasks(session_id))
        return [self._models().task_state(json.loads(each)) for each in texts.values()]

    async def save_update(self, update: OfUpdate) -> None:
        """Keep an update; one whose id was seen before is not kept again."""
        await self._save(self._places.updates(update.session_id), update.update_id, plain(update))

    async def list_updates(
        self, session_id: str, *, task_id: str | None = None, since_id: str | None = None, limit: int = 500
    ) -> Sequence[Foreign]:
        """The newest `limit` updates, oldest first, behind the one with the id `since_id` if it is known."""
        found = await self._listed(self._places.updates(session_id), task_id, since_id, limit)
        return [self._models().state_update(each) for each in found]

    save_task_update = save_update
    list_task_updates = list_updates

    async def save_steering(self, event: OfSteering) -> None:
        """Keep a steering event, made safe by Penguiflow; one whose id was seen before is not kept again."""
        safe = plain(self._models().sanitized(event))
        await self._save(self._places.steering(event.session_id), event.event_id, safe)

    async def list_steering(
        self, session_id: str, *, task_id: str | None = None, since_id: str | None = None, limit: int = 500
    ) -> Sequence[Foreign]:
        """As `list_updates`."""
        found = await self._listed(self._places.steering(session_id), task_id, since_id, limit)
        return [self._models().steering_event(each) for each in found]

    # What a planner did

    async def save_trajectory(self, trace_id: str, session_id: str, trajectory: OfTrajectory) -> None:
        """Keep a trajectory in place of an earlier one; its trace is then the newest of the session."""
        await self._save(self._places.trajectory(session_id, trace_id), "", plain(trajectory.serialise()))
        await self._save(self._places.traces(session_id), trace_id, {})

    async def get_trajectory(self, trace_id: str, session_id: str) -> Foreign | None:
        """The trajectory. None: there is none of this trace in this session."""
        found = await self._only(self._places.trajectory(session_id, trace_id))
        return None if found is None else self._models().trajectory(found)

    async def list_traces(self, session_id: str, limit: int = 50) -> list[str]:
        """The traces of a session that have a trajectory, the last saved first."""
        texts = await self._strands.texts(self._places.traces(session_id))
        return [*reversed(texts)][: max(limit, 0)]

    async def save_planner_event(self, trace_id: str, event: object) -> None:
        """Keep an event of a planner; an equal one is kept once."""
        record = plain(event)
        await self._save(self._places.planner_events(trace_id), _fingerprint(record), record)

    async def list_planner_events(self, trace_id: str) -> list[Foreign]:
        """The events of a planner, as they were saved."""
        records = await self._strands.records(self._places.planner_events(trace_id))
        return [self._models().planner_event(each) for each in records]

    get_events = list_planner_events

    @property
    def artifact_store(self) -> PenguiflowArtifacts:
        """The artifacts of the same principal, in the same journal."""
        return self._artifacts

    def _models(self) -> Models:
        return self._given_models or installed_models()

    async def _save(self, place: Place, record_id: str, record: Any) -> None:
        size_bytes = len(written(record).encode())
        if size_bytes > self._bounds.record_bytes:
            raise OverLimit(
                f"the {place.drawer} record of Penguiflow has {size_bytes} bytes as JSON, {self._bounds.record_bytes} "
                "at most. Keep large parts as artifacts, or open the store with a larger record_bytes."
            )
        await self._strands.write(Wish(place=place, record_id=record_id, decide=lambda _: record))

    async def _only(self, place: Place) -> Fields | None:
        text = (await self._strands.texts(place)).get("")
        return None if text is None else json.loads(text)

    async def _bindings(self) -> list[Fields]:
        return [json.loads(each) for each in (await self._strands.texts(self._places.bindings())).values()]

    async def _listed(self, place: Place, task_id: str | None, since_id: str | None, limit: int) -> list[Fields]:
        records = await self._strands.records(place, after=since_id or None)
        found = [each for each in records if task_id is None or each.get("task_id") == task_id]
        return found[-limit:] if limit > 0 else []


def _fingerprint(record: Any) -> str:
    return sha256(written(record).encode()).hexdigest()


def _instant(record: Mapping[str, Any]) -> float:
    return record["ts"] or 0.0


def _binding_id(trace_id: str, context_id: str | None, task_id: str) -> str:
    return written(plain([trace_id, context_id, task_id]))
