"""How much a store for Penguiflow holds, and for how long."""

from dataclasses import dataclass

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Bounds of one principal.

    Beyond a number of records the oldest give way. Beyond the quota of the journal whole traces and artifacts do, those
    first that were written longest ago; anything else is then refused with `OverLimit`.
    """

    max_events_per_trace: int = 50_000
    max_planner_events_per_trace: int = 50_000
    max_updates_per_session: int = 10_000
    max_steering_events_per_session: int = 10_000
    max_tasks_per_session: int = 10_000
    max_traces_per_session: int = 10_000
    max_bindings: int = 5_000
    max_artifacts: int = 1_000
    record_bytes: int = 8 * 2**20
    """One record as JSON. Larger ones are refused with `OverLimit`."""
    artifact_bytes: int = 16 * 2**20
    """One artifact. Larger ones are refused with `OverLimit`."""
    life_s: float = 30 * _DAY_S
    """How long a trace, a session, a memory or the bindings are kept after they were last used."""
    pause_life_s: float = 3_600.0
    """How long a paused planner can be resumed. Source: Penguiflow's StateStore specification recommends one hour."""
    artifact_life_s: float = 7 * _DAY_S
    """How long an artifact is kept after it was last put; looking at it does not prolong that."""
