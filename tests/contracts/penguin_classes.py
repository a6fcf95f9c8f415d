"""Penguiflow's classes, for the tests of its store: its own where it is installed, else ones that hold the same.

Source of the stand-ins' fields: `penguiflow.state.models`, `penguiflow.planner` and `penguiflow.artifacts`, 3.11.2.
"""

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from pydantic import Field
from pydantic import TypeAdapter

from state.penguiflow_models import Models
from state.penguiflow_models import installed_models

IS_INSTALLED = find_spec("penguiflow") is not None
_LIST_ITEMS_MOST = 50


def _now() -> datetime:
    return datetime.now(UTC)


def _id() -> str:
    return uuid4().hex


class _Scope(BaseModel):
    tenant_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    trace_id: str | None = None


class _Reference(BaseModel):
    id: str
    mime_type: str | None = None
    size_bytes: int | None = None
    filename: str | None = None
    sha256: str | None = None
    scope: _Scope | None = None
    namespace: str | None = None
    source: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class _Event:
    trace_id: str | None
    ts: float
    kind: str
    node_name: str | None
    node_id: str | None
    payload: Mapping[str, Any]


@dataclass(slots=True)
class _Binding:
    trace_id: str
    context_id: str | None
    task_id: str
    agent_url: str
    router_session_id: str | None = None
    remote_skill: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    last_remote_task_id: str | None = None
    is_terminal: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class _Status(StrEnum):
    PENDING = "PENDING"
    COMPLETE = "COMPLETE"


class _TaskType(StrEnum):
    BACKGROUND = "BACKGROUND"


class _Snapshot(BaseModel):
    session_id: str
    task_id: str
    spawned_at: datetime = Field(default_factory=_now)
    context_version: int | None = None
    context_hash: str | None = None
    llm_context: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class _Task:
    task_id: str
    session_id: str
    status: _Status
    task_type: _TaskType
    priority: int
    context_snapshot: _Snapshot
    result: Any | None = None
    created_at: datetime = field(default_factory=_now)
    updated_at: datetime = field(default_factory=_now)


class _UpdateType(StrEnum):
    PROGRESS = "PROGRESS"


class _Update(BaseModel):
    session_id: str
    task_id: str
    update_id: str = Field(default_factory=_id)
    update_type: _UpdateType
    content: Any
    created_at: datetime = Field(default_factory=_now)


class _SteeringType(StrEnum):
    USER_MESSAGE = "USER_MESSAGE"


class _Steering(BaseModel):
    session_id: str
    task_id: str
    event_id: str = Field(default_factory=_id)
    event_type: _SteeringType
    payload: dict[str, Any] = Field(default_factory=dict)
    source: str = "user"
    created_at: datetime = Field(default_factory=_now)


@dataclass(frozen=True, slots=True)
class _PlannerEvent:
    event_type: str
    ts: float
    trajectory_step: int
    thought: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Trajectory:
    query: str
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def serialise(self) -> dict[str, Any]:
        return asdict(self)


def _sanitized(event: _Steering) -> _Steering:
    return event.model_copy(update={"payload": {name: _cut(each) for name, each in event.payload.items()}})


def _cut(value: Any) -> Any:
    return value[:_LIST_ITEMS_MOST] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType] - any JSON


def _stand_ins() -> tuple[Any, Models]:
    classes = SimpleNamespace(
        ArtifactScope=_Scope,
        StoredEvent=_Event,
        RemoteBinding=_Binding,
        TaskStatus=_Status,
        TaskType=_TaskType,
        TaskContextSnapshot=_Snapshot,
        TaskState=_Task,
        UpdateType=_UpdateType,
        StateUpdate=_Update,
        SteeringEventType=_SteeringType,
        SteeringEvent=_Steering,
        PlannerEvent=_PlannerEvent,
        Trajectory=_Trajectory,
    )
    models = Models(
        stored_event=lambda values: _Event(**values),
        remote_binding=lambda values: _Binding(**values),
        task_state=TypeAdapter(_Task).validate_python,
        state_update=_Update.model_validate,
        steering_event=_Steering.model_validate,
        trajectory=lambda values: _Trajectory(**values),
        planner_event=lambda values: _PlannerEvent(**values),
        artifact_ref=_Reference.model_validate,
        sanitized=_sanitized,
    )
    return classes, models


def _theirs() -> tuple[Any, Models]:
    modules = [
        import_module(name) for name in ("penguiflow.state.models", "penguiflow.planner", "penguiflow.artifacts")
    ]
    return SimpleNamespace(
        **{name: each for module in modules for name, each in vars(module).items()}
    ), installed_models()


CLASSES, MODELS = _theirs() if IS_INSTALLED else _stand_ins()
