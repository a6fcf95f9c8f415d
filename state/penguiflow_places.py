"""Where things of Penguiflow lie in a journal: one session of ours for each trace, session, memory, pause and artifact.

Their ids are derived from the principal and what they are about, so nobody reaches those of another principal, and
their owners are not the principal itself, so `recall` never lists them.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from state.penguiflow_bounds import Bounds
from state.penguiflow_folds import Board
from state.penguiflow_folds import Fold
from state.penguiflow_folds import Roll
from state.penguiflow_json import written

OWNER_PREFIX: Final = "penguiflow/"
"""Every owner begins with it: `penguiflow/<drawer>/<principal>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One session in the journal."""

    session_id: str
    owner: str
    drawer: str
    """What it holds; also the kind of its events, after `penguin_`."""
    life_s: float
    """How long it lives after its last use."""
    fold: Callable[[], Fold]
    """Makes what its records come to, with none yet."""
    gives_way: bool
    """Whether another one of its owner may be ended to make room for it."""

    @property
    def kind(self) -> str:
        return f"penguin_{self.drawer}"


class Places:
    """All places of one principal."""

    def __init__(self, principal: str, bounds: Bounds) -> None:
        self._principal = principal
        self._bounds = bounds

    def owner(self, drawer: str) -> str:
        return f"{OWNER_PREFIX}{drawer}/{self._principal}"

    def events(self, trace_id: str) -> Place:
        most = self._bounds.max_events_per_trace
        return self._place("event", trace_id, fold=lambda: Roll(most), gives_way=True)

    def planner_events(self, trace_id: str) -> Place:
        most = self._bounds.max_planner_events_per_trace
        return self._place("planner_event", trace_id, fold=lambda: Roll(most), gives_way=True)

    def trajectory(self, session_id: str, trace_id: str) -> Place:
        return self._place("trajectory", session_id, trace_id, fold=lambda: Board(1), gives_way=True)

    def traces(self, session_id: str) -> Place:
        most = self._bounds.max_traces_per_session
        return self._place("trace", session_id, fold=lambda: Board(most, moves=True))

    def tasks(self, session_id: str) -> Place:
        most = self._bounds.max_tasks_per_session
        return self._place("task", session_id, fold=lambda: Board(most))

    def updates(self, session_id: str) -> Place:
        most = self._bounds.max_updates_per_session
        return self._place("update", session_id, fold=lambda: Roll(most))

    def steering(self, session_id: str) -> Place:
        most = self._bounds.max_steering_events_per_session
        return self._place("steering", session_id, fold=lambda: Roll(most))

    def bindings(self) -> Place:
        most = self._bounds.max_bindings
        return self._place("binding", fold=lambda: Board(most))

    def memory(self, key: str) -> Place:
        return self._place("memory", key, fold=lambda: Board(1))

    def pause(self, token: str) -> Place:
        return self._place("pause", token, fold=lambda: Board(1), life_s=self._bounds.pause_life_s)

    def artifact(self, artifact_id: str) -> Place:
        life_s = self._bounds.artifact_life_s
        return self._place("artifact", artifact_id, fold=lambda: Board(1), life_s=life_s, gives_way=True)

    def _place(
        self,
        drawer: str,
        *about: str,
        fold: Callable[[], Fold],
        life_s: float | None = None,
        gives_way: bool = False,
    ) -> Place:
        named = hashlib.sha256(written([self._principal, drawer, *about]).encode(errors="replace"))
        return Place(
            session_id=f"penguin-{named.hexdigest()[:40]}",
            owner=self.owner(drawer),
            drawer=drawer,
            life_s=self._bounds.life_s if life_s is None else life_s,
            fold=fold,
            gives_way=gives_way,
        )
