"""The values of Penguiflow: what ours reads of them, and how they are made again from what was kept.

Penguiflow is never imported before one of its values must be made, so everything else runs without it.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any
from typing import Protocol
from typing import TypeAlias

Foreign: TypeAlias = Any
"""A value of one of Penguiflow's own classes, which are not there when this is checked."""

Fields: TypeAlias = dict[str, Any]
"""JSON: such a value by the names of its fields."""


class OfTrace(Protocol):
    """A runtime event."""

    @property
    def trace_id(self) -> str | None: ...


class OfBinding(Protocol):
    """A remote binding."""

    @property
    def trace_id(self) -> str: ...
    @property
    def context_id(self) -> str | None: ...
    @property
    def task_id(self) -> str: ...


class OfTask(Protocol):
    """The state of a task."""

    @property
    def session_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...


class OfUpdate(Protocol):
    """An update of a task."""

    @property
    def session_id(self) -> str: ...
    @property
    def update_id(self) -> str: ...


class OfSteering(Protocol):
    """A steering event."""

    @property
    def session_id(self) -> str: ...
    @property
    def event_id(self) -> str: ...


class OfTrajectory(Protocol):
    """What a planner did."""

    def serialise(self) -> Mapping[str, Any]: ...


class OfScope(Protocol):
    """Whose an artifact is; None: that is not said."""

    @property
    def tenant_id(self) -> str | None: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...
    @property
    def trace_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """How each value is made from its fields. Fields that the class does not know are left out."""

    stored_event: Callable[[Fields], Foreign]
    remote_binding: Callable[[Fields], Foreign]
    task_state: Callable[[Fields], Foreign]
    state_update: Callable[[Fields], Foreign]
    steering_event: Callable[[Fields], Foreign]
    trajectory: Callable[[Fields], Foreign]
    planner_event: Callable[[Fields], Foreign]
    artifact_ref: Callable[[Fields], Foreign]
    sanitized: Callable[[Foreign], Foreign]
    """A steering event that is safe to keep: its payload comes from outside."""


@cache
def installed_models() -> Models:
    """Those of the Penguiflow that is installed. Raises `ModuleNotFoundError` when none is."""
    state = import_module("penguiflow.state.models")
    planner = import_module("penguiflow.planner")
    steering = import_module("penguiflow.steering")
    artifacts = import_module("penguiflow.artifacts")
    task_of = _made(state.TaskState)

    def task_state(values: Fields) -> Foreign:
        checked: Any = state.TaskStateModel.model_validate(values)
        return task_of(dict(checked))  # a model is its fields; those that are models themselves stay so

    return Models(
        stored_event=_made(state.StoredEvent),
        remote_binding=_made(state.RemoteBinding),
        task_state=task_state,
        state_update=state.StateUpdate.model_validate,
        steering_event=state.SteeringEvent.model_validate,
        trajectory=planner.Trajectory.from_serialised,
        planner_event=_made(planner.PlannerEvent),
        artifact_ref=artifacts.ArtifactRef.model_validate,
        sanitized=steering.sanitize_steering_event,
    )


def _made(kind: Callable[..., Foreign]) -> Callable[[Fields], Foreign]:
    """Makes values of a dataclass."""
    of_class: Any = kind
    known = frozenset(each.name for each in fields(of_class))
    return lambda values: kind(**{name: value for name, value in values.items() if name in known})
