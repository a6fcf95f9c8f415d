"""What the APM agent in a process of ours would send, kept line by line: nothing leaves the machine.

The process is our own command. A `sitecustomize` on its path writes down what the agent hands to its wire, and imports
no agent by itself.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SITE = """\
import importlib.util, os, sys
class Recording:
    def find_spec(self, name, path=None, target=None):
        if name != "newrelic.core.agent_protocol":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        read = spec.loader.exec_module
        def exec_module(module):
            read(module)
            record(module.AgentProtocol)
        spec.loader.exec_module = exec_module
        return spec
def record(protocol):
    from newrelic.common.encoding_utils import json_encode
    send = protocol.send
    def recorded(self, method, payload=(), *rest, **more):
        with open(os.environ["APM_SENT"], "a") as file:
            file.write(json_encode([os.getpid(), method, payload]) + "\\n")
        return send(self, method, payload, *rest, **more)
    protocol.send = recorded
sys.meta_path.insert(0, Recording())
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """Everything that was handed to the wire so far."""

    place: Path

    @property
    def text(self) -> str:
        return self.place.read_text(encoding="utf-8") if self.place.exists() else ""

    @property
    def processes(self) -> set[int]:
        return {process for process, _, _ in self._lines()}

    def transactions(self) -> list[dict[str, Any]]:
        """Of calls and requests, each with its own facts; oldest first."""
        return sorted(self._events("analytic_event_data"), key=lambda each: each["timestamp"])

    def events(self) -> list[dict[str, Any]]:
        return sorted(self._events("custom_event_data"), key=lambda each: each["timestamp"])

    def spans(self) -> list[dict[str, Any]]:
        return list(self._events("span_event_data"))

    def errors(self) -> list[dict[str, Any]]:
        return list(self._events("error_event_data"))

    def metrics(self) -> dict[str, list[float]]:
        """Count, total, exclusive, least, most and squares; those of several processes are added up."""
        found: dict[str, list[float]] = {}
        for _, method, payload in self._lines():
            for told, values in payload[3] if method == "metric_data" else ():
                if not told["scope"]:
                    before = found.get(told["name"], [0.0] * len(values))
                    found[told["name"]] = [a + b for a, b in zip(before, values, strict=True)]
        return found

    def _events(self, wanted: str) -> Iterator[dict[str, Any]]:
        for _, method, payload in self._lines():
            for parts in payload[2] if method == wanted else ():
                yield {name: fact for part in parts for name, fact in part.items()}

    def _lines(self) -> Iterator[tuple[int, str, Any]]:
        for line in self.text.splitlines():
            yield json.loads(line)


def watched(folder: Path) -> tuple[Sent, dict[str, str]]:
    """What is sent by processes with these variables: in the agent's rehearsal, which opens no connection."""
    site = folder / "site"
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
    sent = Sent(folder / "sent.jsonl")
    environ = {"PYTHONPATH": str(site), "APM_SENT": str(sent.place), "NEW_RELIC_DEVELOPER_MODE": "true"}
    return sent, environ
