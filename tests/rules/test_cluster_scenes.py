"""What the cluster demo takes for lost: every finding that was acknowledged and is not there, or not as it was."""

from server.cluster_scenes import missing
from server.demo_calls import Told

_KEPT = {"a": "1", "b": "2"}


def _told(**findings: str) -> Told:
    return Told(answer={"findings": [{"key": key, "value": value} for key, value in findings.items()]}, waited_ms=1.0)


def test_nothing_is_missing_when_all_is_there() -> None:
    assert missing(_KEPT, _told(a="1", b="2", c="3")) == []


def test_what_is_gone_and_what_has_changed_is_missing() -> None:
    assert missing(_KEPT, _told(a="1")) == ["b"]
    assert missing(_KEPT, _told(a="1", b="another")) == ["b"]
