"""Penguiflow itself at work over our store: what one process did, another finds. Run by `run.py` beside its tests."""

# ruff: noqa: S101, PLR2004 - asserting is what tests do

import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from penguiflow import Headers
from penguiflow import Message
from penguiflow import Node
from penguiflow import create
from penguiflow.artifacts import ArtifactStore
from penguiflow.artifacts import discover_artifact_store
from penguiflow.sessions import StreamingSession
from penguiflow.sessions import TaskResult
from penguiflow.state import protocol

from state.penguiflow import PenguiflowStore
from state.sqlite.journal import SqliteJournal

_ABILITIES = [each for name, each in vars(protocol).items() if name.startswith(("StateStore", "Supports"))]


async def _echo(message: Message, ctx: Any) -> Message:
    _ = ctx
    return message


async def test_a_flow_leaves_its_history(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state.db", clock=time.time)
    flow = create(Node(_echo, name="echo").to(), state_store=PenguiflowStore(journal, principal="ann"))
    flow.run()
    message = Message(payload={"ok": True}, headers=Headers(tenant="acme"))
    await flow.emit(message)
    await flow.fetch()
    await flow.stop()
    await journal.aclose()
    journal = SqliteJournal(tmp_path / "state.db", clock=time.time)
    history = await PenguiflowStore(journal, principal="ann").load_history(message.trace_id)
    await journal.aclose()
    assert {"node_start", "node_success"} <= {each.kind for each in history}
    assert [each.ts for each in history] == sorted(each.ts for each in history)


async def test_a_session_is_found_again_with_its_tasks(tmp_path: Path) -> None:
    journals = [SqliteJournal(tmp_path / "state.db", clock=time.time) for _ in range(2)]
    stores = [PenguiflowStore(each, principal="ann") for each in journals]

    async def pipeline(runtime: Any) -> TaskResult:
        _ = runtime
        return TaskResult(payload={"answer": "ok"}, digest=["ok"])

    await StreamingSession("s", state_store=stores[0]).run_task(pipeline, query="hi")
    with anyio.fail_after(10):
        while "RESULT" not in [each.update_type.value for each in await stores[1].list_updates("s")]:
            await anyio.lowlevel.checkpoint()  # the session saves its updates behind the answer
    later = StreamingSession("s", state_store=stores[1])
    await later.hydrate()
    (task,) = await stores[1].list_tasks("s")
    assert (task.status.value, later._foreground_task_id) == ("COMPLETE", task.task_id)  # noqa: SLF001 - theirs
    for each in journals:
        await each.aclose()


async def test_every_ability_is_seen_and_the_artifacts_are_found(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state.db", clock=time.time)
    store = PenguiflowStore(journal, principal="ann")
    assert len(_ABILITIES) == 9
    assert [each.__name__ for each in _ABILITIES if not isinstance(store, each)] == []
    assert isinstance(discover_artifact_store(store), ArtifactStore)
    await journal.aclose()


@pytest.fixture(autouse=True)
def _real() -> None:
    """Penguiflow's own classes are meant here, never stand-ins."""
    assert Message.__module__.startswith("penguiflow")
