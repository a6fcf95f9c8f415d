"""The store for Penguiflow does what Penguiflow's StateStore specification says, over every journal that keeps.

Source: the specification, the protocols and the store in memory of Penguiflow 3.11.2. Where Penguiflow is installed
these tests use its own classes, else stand-ins; the upstream tests are run by `.ci/penguiflow`.
"""

import hashlib
import math
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from state.chain import Verdict
from state.errors import OverLimit
from state.journal import Draft
from state.journal import Head
from state.journal import Journal
from state.journal import Quota
from state.journal import VersionMoved
from state.memory import MemoryJournal
from state.penguiflow import PenguiflowStore
from state.penguiflow_bounds import Bounds
from state.sqlite.journal import SqliteJournal
from tests.conftest import ManualClock
from tests.contracts.penguin_classes import CLASSES
from tests.contracts.penguin_classes import MODELS

_ROOT = Path(__file__).parents[2]
_HOUR_S = 3_600.0
_DAY_S = 86_400.0

Opened = Callable[..., PenguiflowStore]


class _Counted(SqliteJournal):
    """Knows how often writers met."""

    refusals = 0

    async def append(
        self,
        session_id: str,
        *,
        expected: Head | None,
        drafts: Sequence[Draft],
        expires_at: float,
        nonce: str | None = None,
    ) -> Head:
        try:
            return await super().append(
                session_id, expected=expected, drafts=drafts, expires_at=expires_at, nonce=nonce
            )
        except VersionMoved:
            self.refusals += 1
            raise


class _Room:
    """A place for state, and journals over it: those over a file are as other processes have them."""

    def __init__(self, path: Path | None, clock: ManualClock) -> None:
        """`path`: None means the one journal in memory."""
        self._path = path
        self._clock = clock
        self._quota = Quota()
        self._in_memory: MemoryJournal | None = None
        self._over_file: list[_Counted] = []

    def limit(self, quota: Quota) -> None:
        """What each owner may hold, for the journals that are opened from now on."""
        self._quota = quota

    def journal(self) -> Journal:
        if self._path is None:
            self._in_memory = self._in_memory or MemoryJournal(self._clock, quota=self._quota)
            return self._in_memory
        self._over_file.append(_Counted(self._path, clock=self._clock, quota=self._quota))
        return self._over_file[-1]

    def store(self, *, principal: str = "ann", **bounds: Any) -> PenguiflowStore:
        return PenguiflowStore(
            self.journal(), principal=principal, clock=self._clock, bounds=Bounds(**bounds), models=MODELS
        )

    def check_that_writers_met(self) -> None:
        met = self._path is None or sum(each.refusals for each in self._over_file)
        assert met, "the writers never met: this proved nothing"

    async def verdicts(self, *drawers: str) -> list[Verdict | None]:
        journal = self.journal()
        owners = [f"penguiflow/{each}/ann" for each in drawers]
        return [await journal.verify(each) for owner in owners for each in await journal.sessions(owner)]

    async def close(self) -> None:
        while self._over_file:
            await self._over_file.pop().aclose()


@pytest.fixture(params=["memory", "sqlite"])
async def room(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[_Room]:
    made = _Room(tmp_path / "state.db" if request.param == "sqlite" else None, clock)
    yield made
    await made.close()


@pytest.fixture
def store(room: _Room) -> PenguiflowStore:
    return room.store()


def _event(ts: float = 1.0, kind: str = "node_start", *, trace_id: str | None = "t", **payload: Any) -> Any:
    return CLASSES.StoredEvent(trace_id=trace_id, ts=ts, kind=kind, node_name="n", node_id=None, payload=payload)


def _binding(number: int = 1, **fields: Any) -> Any:
    return CLASSES.RemoteBinding(
        trace_id=f"t{number}",
        context_id=None,
        task_id=f"task-{number}",
        **{"agent_url": "agent", "router_session_id": "r", "remote_skill": "echo", **fields},
    )


def _task(task_id: str = "t", *, session_id: str = "s", status: str = "PENDING", **fields: Any) -> Any:
    snapshot = CLASSES.TaskContextSnapshot(
        session_id=session_id, task_id=task_id, context_version=3, context_hash="abc", llm_context={"x": [1]}
    )
    return CLASSES.TaskState(
        task_id=task_id,
        session_id=session_id,
        status=CLASSES.TaskStatus(status),
        task_type=CLASSES.TaskType("BACKGROUND"),
        priority=5,
        context_snapshot=snapshot,
        **fields,
    )


def _update(update_id: str, *, task_id: str = "t", content: Any = None) -> Any:
    kind = CLASSES.UpdateType("PROGRESS")
    return CLASSES.StateUpdate(session_id="s", task_id=task_id, update_id=update_id, update_type=kind, content=content)


def _steering(event_id: str, *, task_id: str = "t", **payload: Any) -> Any:
    kind = CLASSES.SteeringEventType("USER_MESSAGE")
    return CLASSES.SteeringEvent(session_id="s", task_id=task_id, event_id=event_id, event_type=kind, payload=payload)


def _planned(ts: float, **extra: Any) -> Any:
    return CLASSES.PlannerEvent(event_type="llm_stream_chunk", ts=ts, trajectory_step=0, extra=extra)


def _scope(**fields: str) -> Any:
    return CLASSES.ArtifactScope(**fields)


async def _found(store: PenguiflowStore, **fields: Any) -> Any:
    return await store.find_binding(
        **{"router_session_id": "r", "agent_url": "agent", "remote_skill": "echo", **fields}
    )


@pytest.mark.anyio
class TestEventsOfATrace:
    async def test_come_back_as_they_were_saved(self, store: PenguiflowStore) -> None:
        event = _event(latency_ms=1.5, nested={"list": [1, None, True, "ü🦉"]})
        await store.save_event(event)
        assert await store.load_history("t") == [event]

    async def test_are_ordered_by_their_instant_and_then_as_they_were_saved(self, store: PenguiflowStore) -> None:
        for ts, kind in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (1.0, "a2")):
            await store.save_event(_event(ts, kind))
        assert [each.kind for each in await store.load_history("t")] == ["a", "a2", "b", "c"]

    async def test_are_kept_once_however_often_they_are_saved(self, store: PenguiflowStore) -> None:
        for _ in range(3):
            await store.save_event(_event(x=1))
        await store.save_event(_event(x=2))
        assert [each.payload for each in await store.load_history("t")] == [{"x": 1}, {"x": 2}]

    async def test_of_an_unknown_trace_are_none(self, store: PenguiflowStore) -> None:
        assert list(await store.load_history("nobody")) == []

    async def test_without_a_trace_lie_together(self, store: PenguiflowStore) -> None:
        await store.save_event(_event(trace_id=None))
        (event,) = await store.load_history("__global__")
        assert event.trace_id is None

    async def test_beyond_the_bound_give_way_oldest_first_and_for_good(self, room: _Room) -> None:
        store = room.store(max_events_per_trace=10)
        for number in range(200):
            await store.save_event(_event(float(number)))
        other = room.store(max_events_per_trace=10)
        for each in (store, other):
            assert [event.ts for event in await each.load_history("t")] == [float(n) for n in range(190, 200)]
        journal = room.journal()
        (session_id,) = await journal.sessions("penguiflow/event/ann")
        chapter = await journal.read(session_id)
        assert chapter is not None
        assert len(chapter.events) < 100, "events that nobody needs are dropped from the file"
        assert await room.verdicts("event") == [Verdict(ok=True, events=len(chapter.events))]

    async def test_with_values_that_are_not_json_are_kept_as_text(self, store: PenguiflowStore) -> None:
        await store.save_event(
            _event(
                at=datetime(2026, 1, 2, tzinfo=UTC),
                gone=math.nan,
                several={"b", "a"},
                pair=(1, 2),
                raw=b"x",
                cut="a\ud800",
                thing=Path("x"),
                by_number={1: "one"},
            )
        )
        (event,) = await store.load_history("t")
        assert event.payload == {
            "at": "2026-01-02T00:00:00+00:00",
            "gone": None,
            "several": ["a", "b"],
            "pair": [1, 2],
            "raw": "x",
            "cut": "a?",
            "thing": "x",
            "by_number": {"1": "one"},
        }

    async def test_that_contain_themselves_are_cut_not_refused(self, store: PenguiflowStore) -> None:
        inner: dict[str, Any] = {}
        inner["self"] = inner
        await store.save_event(_event(inner=inner))
        assert len(await store.load_history("t")) == 1

    async def test_are_the_callers_own(self, store: PenguiflowStore) -> None:
        await store.save_event(_event(list=[1]))
        (event,) = await store.load_history("t")
        event.payload["list"].append(2)
        (again,) = await store.load_history("t")
        assert again.payload == {"list": [1]}

    async def test_saved_by_many_at_once_are_all_there_once(self, room: _Room) -> None:
        stores = [room.store() for _ in range(3)]
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    for each in stores:  # each event is saved three times, by three processes
                        tasks.start_soon(each.save_event, _event(float(number)))
                    tasks.start_soon(stores[number % 3].save_event, _event(100.0 + number))
        instants = [float(n) for n in range(40)] + [100.0 + n for n in range(40)]
        for each in stores:
            assert [event.ts for event in await each.load_history("t")] == instants
        room.check_that_writers_met()

    async def test_are_kept_again_after_another_process_has_ended_their_trace(
        self, room: _Room, store: PenguiflowStore, clock: ManualClock
    ) -> None:
        await store.save_event(_event())
        other = room.journal()
        (session_id,) = await other.sessions("penguiflow/event/ann")
        chapter = await other.read(session_id)
        assert chapter is not None
        draft = Draft(at=0.0, kind="ended", actor="x", body={})
        await other.append(session_id, expected=chapter.head, drafts=[draft], expires_at=clock())
        await store.save_event(_event())
        assert len(await store.load_history("t")) == 1

    async def test_of_a_history_that_another_process_began_anew_are_not_mixed_with_the_old(
        self, room: _Room, store: PenguiflowStore, clock: ManualClock
    ) -> None:
        await store.save_event(_event(1.0))
        clock.advance(31 * _DAY_S)
        other = room.store()
        for ts in (2.0, 3.0):
            await other.save_event(_event(ts))
        await store.save_event(_event(1.0))
        assert [each.ts for each in await store.load_history("t")] == [1.0, 2.0, 3.0]


@pytest.mark.anyio
class TestBindings:
    async def test_are_found_by_all_they_are_for(self, store: PenguiflowStore) -> None:
        binding = _binding(tenant_id="a", user_id="u", metadata={"k": [1]})
        await store.save_remote_binding(binding)
        assert await _found(store, tenant_id="a", user_id="u") == binding

    @pytest.mark.parametrize(
        "other",
        [
            {"tenant_id": None},
            {"user_id": None},
            {"tenant_id": "b"},
            {"user_id": "v"},
            {"router_session_id": "other"},
            {"agent_url": "other"},
            {"remote_skill": "other"},
        ],
    )
    async def test_are_not_found_for_anybody_or_anything_else(
        self, store: PenguiflowStore, other: dict[str, Any]
    ) -> None:
        await store.save_remote_binding(_binding(tenant_id="a", user_id="u"))
        assert await _found(store, **{"tenant_id": "a", "user_id": "u", **other}) is None

    async def test_without_a_router_session_are_never_found(self, store: PenguiflowStore) -> None:
        await store.save_remote_binding(_binding(router_session_id=None, remote_skill=None))
        assert await _found(store) is None

    async def test_saved_again_take_the_place_of_the_earlier_one(self, store: PenguiflowStore) -> None:
        await store.save_remote_binding(_binding(agent_url="a"))
        await store.save_remote_binding(_binding(agent_url="b"))
        assert await store.list_bindings(router_session_id="r") == [_binding(agent_url="b")]

    async def test_the_latest_is_found_also_when_an_older_one_ends(self, store: PenguiflowStore) -> None:
        for number in (1, 2):
            await store.save_remote_binding(_binding(number))
        await store.mark_binding_terminal(trace_id="t1", context_id=None, task_id="task-1")
        assert await _found(store) == _binding(2)
        await store.mark_binding_terminal(trace_id="t2", context_id=None, task_id="task-2")
        assert await _found(store) is None

    async def test_that_ended_are_listed_but_not_found(self, store: PenguiflowStore) -> None:
        await store.save_remote_binding(_binding(is_terminal=True))
        assert await _found(store) is None
        assert await store.list_bindings(router_session_id="r") == [_binding(is_terminal=True)]
        assert list(await store.list_bindings(router_session_id="other")) == []

    async def test_ending_one_that_is_not_there_does_nothing(self, store: PenguiflowStore) -> None:
        await store.mark_binding_terminal(trace_id="t1", context_id=None, task_id="task-1")
        assert list(await store.list_bindings(router_session_id="r")) == []

    async def test_ending_one_keeps_what_another_process_has_saved_of_it(self, room: _Room) -> None:
        one, other = room.store(), room.store()
        await one.save_remote_binding(_binding())
        await other.save_remote_binding(_binding(last_remote_task_id="later"))
        await one.mark_binding_terminal(trace_id="t1", context_id=None, task_id="task-1")
        (left,) = await other.list_bindings(router_session_id="r")
        assert left == _binding(last_remote_task_id="later", is_terminal=True)


@pytest.mark.anyio
class TestPausedPlanners:
    async def test_are_resumed_once(self, store: PenguiflowStore) -> None:
        payload: dict[str, Any] = {
            "trajectory": {"version": 1, "steps": []},
            "constraints": None,
            "payload": {"f": 0.1},
        }
        await store.save_planner_state("token", payload)
        assert await store.load_planner_state("token") == payload
        assert await store.load_planner_state("token") is None

    async def test_that_are_unknown_are_none(self, store: PenguiflowStore) -> None:
        assert await store.load_planner_state("nobody") is None

    async def test_are_given_to_one_of_all_who_ask_at_once(self, room: _Room) -> None:
        stores = [room.store() for _ in range(4)]
        await stores[0].save_planner_state("token", {"a": 1})
        found: list[Any] = []

        async def load(each: PenguiflowStore) -> None:
            found.append(await each.load_planner_state("token"))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for each in stores * 3:
                    tasks.start_soon(load, each)
        assert [each for each in found if each is not None] == [{"a": 1}]
        assert len(found) == 12

    async def test_cannot_be_resumed_after_an_hour(self, store: PenguiflowStore, clock: ManualClock) -> None:
        await store.save_planner_state("token", {"a": 1})
        clock.advance(_HOUR_S - 1)
        await store.save_planner_state("other", {"a": 1})
        clock.advance(1)
        assert await store.load_planner_state("token") is None
        assert await store.load_planner_state("other") == {"a": 1}

    async def test_saved_anew_wait_anew(self, store: PenguiflowStore, clock: ManualClock) -> None:
        for payload in ({"a": 1}, {"a": 2}):
            await store.save_planner_state("token", payload)
            clock.advance(_HOUR_S - 1)
        assert await store.load_planner_state("token") == {"a": 2}
        await store.save_planner_state("token", {"a": 3})
        assert await store.load_planner_state("token") == {"a": 3}


@pytest.mark.anyio
class TestMemories:
    async def test_are_what_was_saved_last(self, room: _Room, store: PenguiflowStore) -> None:
        await store.save_memory_state("a:b:c", {"turns": [{"user": "hello"}]})
        assert await store.load_memory_state("a:b:c") == {"turns": [{"user": "hello"}]}
        await room.store().save_memory_state("a:b:c", {"turns": []})
        assert await store.load_memory_state("a:b:c") == {"turns": []}
        assert await store.load_memory_state("nobody") is None

    async def test_outlive_the_process(self, room: _Room, store: PenguiflowStore) -> None:
        await store.save_memory_state("k", {"v": 1})
        await room.close()
        assert await room.store().load_memory_state("k") == {"v": 1}

    async def test_that_change_often_do_not_pile_up(self, room: _Room, store: PenguiflowStore) -> None:
        for number in range(300):
            await store.save_memory_state("k", {"number": number, "text": "x" * 100})
        journal = room.journal()
        (session_id,) = await journal.sessions("penguiflow/memory/ann")
        chapter = await journal.read(session_id)
        assert chapter is not None
        assert len(chapter.events) < 100
        assert (await room.store().load_memory_state("k") or {})["number"] == 299
        assert [each and each.ok for each in await room.verdicts("memory")] == [True]

    async def test_that_are_used_live_on_and_others_end(self, store: PenguiflowStore, clock: ManualClock) -> None:
        for key in ("used", "unused"):
            await store.save_memory_state(key, {"v": 1})
        for _ in range(4):
            clock.advance(20 * _DAY_S)
            assert await store.load_memory_state("used") == {"v": 1}
        assert await store.load_memory_state("unused") is None

    async def test_larger_than_a_record_may_be_are_refused_and_leave_the_earlier_one(self, room: _Room) -> None:
        store = room.store(record_bytes=1_000)
        await store.save_memory_state("k", {"v": 1})
        with pytest.raises(OverLimit, match="record_bytes"):
            await store.save_memory_state("k", {"v": "x" * 1_000})
        assert await store.load_memory_state("k") == {"v": 1}


@pytest.mark.anyio
class TestTasks:
    async def test_come_back_as_they_were_saved(self, store: PenguiflowStore) -> None:
        task = _task(result={"rows": [1, 2]})
        await store.save_task(task)
        assert await store.list_tasks("s") == [task]
        assert list(await store.list_tasks("nobody")) == []

    async def test_saved_again_take_the_place_of_the_earlier_state(self, store: PenguiflowStore) -> None:
        for task_id, status in (("a", "PENDING"), ("b", "PENDING"), ("a", "COMPLETE"), ("a", "COMPLETE")):
            await store.save_task(_task(task_id, status=status))
        found = [(each.task_id, each.status.value) for each in await store.list_tasks("s")]
        assert found == [("a", "COMPLETE"), ("b", "PENDING")]

    async def test_saved_by_many_at_once_are_all_there(self, room: _Room) -> None:
        stores = [room.store() for _ in range(2)]
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(stores[number % 2].save_task, _task(f"{number:02}"))
        for each in stores:
            assert sorted(task.task_id for task in await each.list_tasks("s")) == [f"{n:02}" for n in range(40)]
        room.check_that_writers_met()

    async def test_that_change_while_another_process_shortens_them_are_read_right(self, room: _Room) -> None:
        one, other = room.store(), room.store()
        for number in range(200):
            await one.save_task(replace(_task(f"{number % 5}"), priority=number))
            if number % 10 == 0:
                await other.list_tasks("s")
        assert sorted(each.priority for each in await other.list_tasks("s")) == [195, 196, 197, 198, 199]
        assert sorted(each.priority for each in await room.store().list_tasks("s")) == [195, 196, 197, 198, 199]

    async def test_that_do_not_change_outlive_the_many_changes_of_another(self, room: _Room) -> None:
        store = room.store()
        for number in range(10):
            await store.save_task(_task(f"{number}"))
        for number in range(200):
            await store.save_task(replace(_task("0"), priority=number))
        for each in (store, room.store()):
            found = [(task.task_id, task.priority) for task in await each.list_tasks("s")]
            assert found == [("0", 199), *((f"{number}", 5) for number in range(1, 10))]
        assert [each and each.events < 200 for each in await room.verdicts("task")] == [True]


@pytest.mark.anyio
class TestUpdatesAndSteering:
    async def test_updates_come_back_in_order_and_each_id_once(self, store: PenguiflowStore) -> None:
        updates = [_update(f"u{n}", content={"step": n}) for n in range(5)]
        for each in (*updates, updates[2], _update("u3", content="other")):
            await store.save_update(each)
        assert await store.list_updates("s") == updates
        assert list(await store.list_updates("nobody")) == []

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"since_id": "u2"}, ["u3", "u4"]),
            ({"since_id": "u4"}, []),
            ({"since_id": "unknown"}, ["u0", "u1", "u2", "u3", "u4"]),
            ({"since_id": ""}, ["u0", "u1", "u2", "u3", "u4"]),
            ({"task_id": "odd"}, ["u1", "u3"]),
            ({"task_id": "odd", "since_id": "u2"}, ["u3"]),
            ({"limit": 2}, ["u3", "u4"]),
            ({"task_id": "odd", "limit": 1}, ["u3"]),
            ({"limit": 0}, []),
        ],
    )
    async def test_lists_go_on_behind_a_cursor_and_end_with_the_newest(
        self, store: PenguiflowStore, asked: dict[str, Any], found: list[str]
    ) -> None:
        for number in range(5):
            task_id = "odd" if number % 2 else "even"
            await store.save_update(_update(f"u{number}", task_id=task_id))
            await store.save_steering(_steering(f"u{number}", task_id=task_id))
        assert [each.update_id for each in await store.list_updates("s", **asked)] == found
        assert [each.event_id for each in await store.list_steering("s", **asked)] == found

    async def test_a_cursor_is_good_in_another_process(self, room: _Room, store: PenguiflowStore) -> None:
        for number in range(3):
            await store.save_update(_update(f"u{number}"))
        other = room.store()
        assert [each.update_id for each in await other.list_updates("s", since_id="u0")] == ["u1", "u2"]
        await store.save_update(_update("u3"))
        assert [each.update_id for each in await other.list_updates("s", since_id="u2")] == ["u3"]

    async def test_updates_beyond_the_bound_give_way(self, room: _Room) -> None:
        store = room.store(max_updates_per_session=5)
        for number in range(150):
            await store.save_update(_update(f"u{number}"))
        assert [each.update_id for each in await store.list_updates("s")] == [f"u{n}" for n in range(145, 150)]
        assert [each.update_id for each in await store.list_updates("s", since_id="u147")] == ["u148", "u149"]

    async def test_the_older_names_do_the_same(self, store: PenguiflowStore) -> None:
        await store.save_task_update(_update("u0"))
        await store.save_task_update(_update("u1"))
        assert [each.update_id for each in await store.list_task_updates("s", since_id="u0")] == ["u1"]

    async def test_steering_events_are_made_safe_before_they_are_kept(self, store: PenguiflowStore) -> None:
        await store.save_steering(_steering("e", text="hello", items=list(range(10_000))))
        (event,) = await store.list_steering("s")
        assert event.payload["text"] == "hello"
        assert event.source == "user"
        assert len(event.payload["items"]) < 100


@pytest.mark.anyio
class TestTrajectoriesAndPlannerEvents:
    async def test_a_trajectory_is_found_in_its_session_only(self, store: PenguiflowStore) -> None:
        await store.save_trajectory("t", "s", CLASSES.Trajectory(query="hello", metadata={"a": [1]}))
        found = await store.get_trajectory("t", "s")
        assert found is not None
        assert (found.query, found.metadata) == ("hello", {"a": [1]})
        assert await store.get_trajectory("t", "other") is None
        assert await store.get_trajectory("other", "s") is None

    async def test_traces_are_listed_the_last_saved_first(self, store: PenguiflowStore) -> None:
        for trace_id in ("a", "b", "c", "a"):
            await store.save_trajectory(trace_id, "s", CLASSES.Trajectory(query=trace_id))
        assert await store.list_traces("s") == ["a", "c", "b"]
        assert await store.list_traces("s", limit=2) == ["a", "c"]
        assert await store.list_traces("nobody") == []

    async def test_events_of_a_planner_come_back_as_they_were_saved_and_equal_ones_once(
        self, store: PenguiflowStore
    ) -> None:
        events = [_planned(2.0, text="b"), _planned(1.0, text="a"), _planned(1.0, text="c")]
        for each in (*events, events[0]):
            await store.save_planner_event("t", each)
        assert await store.list_planner_events("t") == events
        assert await store.get_events("t") == events
        assert await store.list_planner_events("nobody") == []
        assert list(await store.load_history("t")) == []


@pytest.mark.anyio
class TestArtifacts:
    async def test_come_back_with_all_that_was_said_of_them(self, store: PenguiflowStore) -> None:
        content = bytes(range(256)) * 4_000  # several pieces
        put = await store.artifact_store.put_bytes(
            content,
            mime_type="application/pdf",
            filename="a.pdf",
            namespace="tool/x",
            scope=_scope(session_id="s", trace_id="t"),
            meta={"pages": 2},
        )
        assert await store.artifact_store.get(put.id) == content
        assert await store.artifact_store.get_ref(put.id) == put
        assert await store.artifact_store.exists(put.id)
        assert (put.size_bytes, put.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert (put.mime_type, put.filename, put.namespace) == ("application/pdf", "a.pdf", "tool/x")
        assert (put.scope.session_id, put.source) == ("s", {"pages": 2})
        assert put.id.startswith("tool_x_")

    @pytest.mark.parametrize("content", [b"", b"x", b"x" * 262_144, b"x" * 262_145])
    async def test_of_any_length_come_back(self, store: PenguiflowStore, content: bytes) -> None:
        put = await store.artifact_store.put_bytes(content)
        assert await store.artifact_store.get(put.id) == content

    async def test_texts_are_kept_as_utf_8(self, store: PenguiflowStore) -> None:
        put = await store.artifact_store.put_text("ü🦉")
        assert await store.artifact_store.get(put.id) == "ü🦉".encode()
        assert put.mime_type == "text/plain"

    async def test_that_are_unknown_are_none(self, store: PenguiflowStore) -> None:
        assert await store.artifact_store.get("nobody") is None
        assert await store.artifact_store.get_ref("nobody") is None
        assert not await store.artifact_store.exists("nobody")
        assert not await store.artifact_store.delete("nobody")
        assert await store.artifact_store.list() == []

    async def test_put_twice_are_one_but_not_over_the_edge_of_a_session(self, store: PenguiflowStore) -> None:
        first = await store.artifact_store.put_bytes(b"x", scope=_scope(session_id="s"))
        again = await store.artifact_store.put_bytes(b"x", scope=_scope(session_id="s"), filename="later")
        other = await store.artifact_store.put_bytes(b"x", scope=_scope(session_id="other"))
        assert (again, other.id != first.id) == (first, True)
        assert other.scope.session_id == "other"
        assert len(await store.artifact_store.list()) == 2

    async def test_put_by_two_processes_at_once_are_one(self, room: _Room) -> None:
        stores = [room.store() for _ in range(2)]
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for each in stores * 4:
                    tasks.start_soon(each.artifact_store.put_bytes, b"x" * 600_000)
        (found,) = await stores[0].artifact_store.list()
        assert await stores[1].artifact_store.get(found.id) == b"x" * 600_000

    async def test_are_listed_by_every_part_of_a_scope_that_is_given(self, store: PenguiflowStore) -> None:
        put = store.artifact_store.put_bytes
        a = await put(b"a", scope=_scope(session_id="s", user_id="u"))
        b = await put(b"b", scope=_scope(session_id="s", user_id="v"))
        c = await put(b"c")

        async def listed(**fields: str) -> set[str]:
            return {each.id for each in await store.artifact_store.list(scope=_scope(**fields))}

        assert await listed() == {a.id, b.id, c.id}
        assert await listed(session_id="s") == {a.id, b.id}
        assert await listed(session_id="s", user_id="v") == {b.id}
        assert await listed(tenant_id="x") == set()

    async def test_are_given_to_their_session_only(self, store: PenguiflowStore) -> None:
        mine = await store.artifact_store.put_bytes(b"x", scope=_scope(session_id="s"))
        nobodys = await store.artifact_store.put_bytes(b"y")
        assert await store.artifact_store.get_with_session_check(mine.id, "s") == b"x"
        assert await store.artifact_store.get_with_session_check(mine.id, "other") is None
        assert await store.artifact_store.get_with_session_check(nobodys.id, "s") is None
        assert await store.artifact_store.get_with_session_check(nobodys.id, "default") == b"y"

    async def test_are_deleted_once_and_can_be_put_again(self, store: PenguiflowStore) -> None:
        put = await store.artifact_store.put_bytes(b"x")
        assert [await store.artifact_store.delete(put.id) for _ in range(2)] == [True, False]
        assert await store.artifact_store.get(put.id) is None
        assert await store.artifact_store.list() == []
        assert (await store.artifact_store.put_bytes(b"x")).id == put.id
        assert await store.artifact_store.get(put.id) == b"x"

    async def test_end_a_week_after_they_were_last_put(self, store: PenguiflowStore, clock: ManualClock) -> None:
        put = await store.artifact_store.put_bytes(b"x")
        clock.advance(6 * _DAY_S)
        await store.artifact_store.put_bytes(b"x")
        clock.advance(6 * _DAY_S)
        assert await store.artifact_store.get(put.id) == b"x"
        clock.advance(1 * _DAY_S)
        assert await store.artifact_store.get(put.id) is None
        assert await store.artifact_store.list() == []

    async def test_larger_than_one_may_be_are_refused(self, room: _Room) -> None:
        store = room.store(artifact_bytes=10)
        await store.artifact_store.put_bytes(b"x" * 10)
        with pytest.raises(OverLimit, match="artifact_bytes"):
            await store.artifact_store.put_bytes(b"x" * 11)

    async def test_beyond_the_bound_give_way_first_put_first(self, room: _Room, clock: ManualClock) -> None:
        store = room.store(max_artifacts=3)
        for content in (b"a", b"b", b"c", b"d"):
            await store.artifact_store.put_bytes(content)
            clock.advance(1)
        kept = [await store.artifact_store.get(each.id) for each in await store.artifact_store.list()]
        assert kept == [b"b", b"c", b"d"]


@pytest.mark.anyio
class TestBoundsBetweenOwners:
    async def test_principals_never_meet(self, room: _Room) -> None:
        ann, bob = room.store(principal="ann"), room.store(principal="bob")
        await ann.save_event(_event())
        await ann.save_memory_state("k", {"v": 1})
        await ann.save_planner_state("token", {"v": 1})
        await ann.save_task(_task())
        await ann.save_remote_binding(_binding())
        await ann.save_trajectory("t", "s", CLASSES.Trajectory(query="hello"))
        put = await ann.artifact_store.put_bytes(b"x")
        assert list(await bob.load_history("t")) == []
        assert await bob.load_memory_state("k") is None
        assert await bob.load_planner_state("token") is None
        assert list(await bob.list_tasks("s")) == []
        assert list(await bob.list_bindings(router_session_id="r")) == []
        assert await bob.get_trajectory("t", "s") is None
        assert await bob.list_traces("s") == []
        assert await bob.artifact_store.get(put.id) is None
        assert await bob.artifact_store.list() == []
        assert await ann.load_planner_state("token") == {"v": 1}

    async def test_nothing_of_it_is_among_the_sessions_of_the_principal(self, room: _Room) -> None:
        await room.store().save_event(_event())
        assert await room.journal().sessions("ann") == ()

    async def test_a_full_journal_lets_go_of_whole_old_traces(self, room: _Room, clock: ManualClock) -> None:
        room.limit(Quota(sessions=3))
        store = room.store()
        for trace_id in ("a", "b", "c", "d"):
            await store.save_event(_event(trace_id=trace_id))
            clock.advance(1)
        assert [len(await store.load_history(each)) for each in ("a", "b", "c", "d")] == [0, 1, 1, 1]

    async def test_a_full_journal_lets_go_of_old_artifacts(self, room: _Room, clock: ManualClock) -> None:
        room.limit(Quota(size_bytes=1_000_000))
        store = room.store()
        put: list[str] = []
        for number in range(5):
            put.append((await store.artifact_store.put_bytes(bytes([number]) * 200_000)).id)
            clock.advance(1)
        assert [await store.artifact_store.exists(each) for each in put] == [False, False, True, True, True]

    async def test_a_full_journal_refuses_what_would_be_missed(self, room: _Room) -> None:
        room.limit(Quota(sessions=2))
        store = room.store()
        for key in ("a", "b"):
            await store.save_memory_state(key, {"v": 1})
        with pytest.raises(OverLimit):
            await store.save_memory_state("c", {"v": 1})
        assert await store.load_memory_state("a") == {"v": 1}


_WRITER = """
import asyncio, sys, time
from dataclasses import dataclass
from pathlib import Path
from state.penguiflow import PenguiflowStore
from state.sqlite.journal import SqliteJournal

@dataclass
class Event:
    trace_id: str
    ts: float
    kind: str
    node_name: None
    node_id: None
    payload: dict

async def main(path, writer):
    journal = SqliteJournal(Path(path), clock=time.time)
    store = PenguiflowStore(journal, principal="ann")
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(30):
        await store.save_event(Event("t", float(number), writer, None, None, {}))
        await store.save_event(Event("t", float(number), "both", None, None, {}))
    await journal.aclose()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.anyio
async def test_two_processes_that_save_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(
                await anyio.open_process([sys.executable, "-c", _WRITER, str(path), name], cwd=_ROOT)
            )
            for name in ("one", "other")
        ]
        with anyio.fail_after(30):
            for each in writers:
                assert each.stdout is not None
                assert (await each.stdout.receive()).strip() == b"ready"
            for each in writers:
                assert each.stdin is not None
                await each.stdin.send(b"go\n")
            assert [await each.wait() for each in writers] == [0, 0]
    journal = SqliteJournal(path, clock=time.time)
    found = await PenguiflowStore(journal, principal="ann", models=MODELS).load_history("t")
    await journal.aclose()
    instants = sorted([float(number) for number in range(30)] * 3)
    assert [each.ts for each in found] == instants
    assert sorted(each.kind for each in found) == ["both"] * 30 + ["one"] * 30 + ["other"] * 30


def test_reading_the_door_reads_nothing_heavy_and_no_penguiflow() -> None:
    asked = "import sys, state.penguiflow; print(' '.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", asked], cwd=_ROOT, capture_output=True, text=True, check=True)
    read = {each.partition(".")[0] for each in answer.stdout.split()}
    assert read & {"penguiflow", "pydantic", "mcp", "cachetools", "duckdb", "anyio"} == set()
