"""What `uds-mcp simulate` promises: a NerdGraph over files for this machine only, and an end when it is asked to."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.demo_calls import connected
from server.demo_calls import own_command

_WITHIN_S = 60.0
_LISTENING = re.compile(r"listening: (http://\S+/graphql)")


def _command(*arguments: str) -> list[str]:
    script = shutil.which("uds-mcp", path=str(Path(sys.executable).parent))
    assert script is not None, "the project is not installed in this environment"
    return [script, "simulate", *arguments]


def _ended(command: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    told = None if env is None else {**os.environ, **env}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WITHIN_S, env=told)


def _refused(*arguments: str) -> tuple[int, str]:
    ended = _ended(_command(*arguments))
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    process: subprocess.Popen[str]
    url: str
    told: list[str]


@contextmanager
def _running(*arguments: str) -> Generator[_Running]:
    process = subprocess.Popen(_command("--port", "0", *arguments), stderr=subprocess.PIPE, text=True)
    last_resort = threading.Timer(_WITHIN_S, process.kill)
    last_resort.start()
    assert process.stderr is not None
    try:
        told: list[str] = []
        for line in process.stderr:
            told.append(line.rstrip("\n"))
            if line.startswith("Its answers"):
                break
        found = next((match for line in told if (match := _LISTENING.search(line))), None)
        assert found is not None, told
        yield _Running(process=process, url=found[1], told=told)
    finally:
        last_resort.cancel()
        process.kill()
        process.communicate()


def _ask(url: str, query: str, key: str = "NRAK-SIMULATED", account: int = 1) -> Any:
    text = "query($i: Int!, $q: Nrql!) { actor { account(id: $i) { name nrql(query: $q) { results } } } }"
    body = json.dumps({"query": text, "variables": {"i": account, "q": query}}).encode()
    asked = urllib.request.Request(url, body, {"Api-Key": key, "Content-Type": "application/json"})  # noqa: S310 - ours
    with urllib.request.urlopen(asked, timeout=_WITHIN_S) as answer:  # noqa: S310
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sample_is_served_as_event_types_until_it_is_asked_to_stop(number: signal.Signals) -> None:
    with _running() as server:
        shown = _ask(server.url, "SHOW EVENT TYPES")
        counted = _ask(server.url, "SELECT count(*) FROM flights SINCE 60 days ago")
        server.process.send_signal(number)
        began_s = time.monotonic()
        assert server.process.wait(timeout=_WITHIN_S) == 0
        assert time.monotonic() - began_s < 2.5
    account = shown["data"]["actor"]["account"]
    assert account["name"] == "Simulated account 1"
    assert {"eventType": "flights"} in account["nrql"]["results"]
    assert counted["data"]["actor"]["account"]["nrql"]["results"] == [{"count": 27_004}]


def test_it_stops_at_once_while_a_client_keeps_its_connection() -> None:
    with _running("--latency-ms", "60000") as server:
        asking = threading.Thread(target=_ask_in_vain, args=(server.url,))
        asking.start()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=5) == 0
        asking.join(timeout=_WITHIN_S)
        assert not asking.is_alive()


def _ask_in_vain(url: str) -> None:
    with pytest.raises(OSError, match=r".*"):
        _ask(url, "SHOW EVENT TYPES")


def test_a_folder_of_files_is_the_data_of_every_account(tmp_path: Path) -> None:
    rows = ["appName,duration,at", *(f"shop,{number / 10},2026-01-0{number}T00:00:00" for number in range(1, 5))]
    (tmp_path / "Transaction.csv").write_text("\n".join(rows))
    with _running("--data", str(tmp_path), "--account", "7", "--account", "8", "--host", "localhost") as server:
        counts = [_ask(server.url, "SELECT count(*) FROM Transaction SINCE 1 day ago", account=n) for n in (7, 8, 1)]
    assert [each["data"]["actor"]["account"]["nrql"] for each in counts] == [
        {"results": [{"count": 1}]},
        {"results": [{"count": 1}]},
        None,
    ]
    assert counts[2]["errors"][0]["message"] == "You are not authorized to query account 1"


@pytest.mark.anyio
async def test_it_says_how_the_product_is_pointed_at_it_and_that_works(tmp_path: Path) -> None:
    with _running("--account", "12") as server:
        (line,) = [line for line in server.told if "NEW_RELIC_API_KEY" in line]
        *settings, command = line.split()
        told = dict(each.split("=", 1) for each in settings)
        assert command == "uds-mcp"
        assert any("NEW_RELIC_WINDOW=396d" in line for line in server.told), "or old rows seem not to be there"
        assert told == {
            "NEW_RELIC_API_KEY": "NRAK-SIMULATED",
            "NEW_RELIC_ACCOUNT_ID": "12",
            "NEW_RELIC_REGION": server.url,
        }
        ours = own_command().model_copy(update={"env": {**told, "UDS_STATE_DIR": str(tmp_path)}})
        async with connected(ours) as call:
            listed = (await call("list_schemas")).answer
            counted = (await call("run_query", query="SELECT count(*) FROM flights SINCE 60 days ago")).answer
    assert {each["schema"] for each in listed["schemas"]} >= {"flights", "weather"}
    assert [source["kind"] for source in listed["sources"] if source["name"] == "newrelic"] == ["newrelic"]
    assert counted["rows"] == [[27_004]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--host", "0.0.0.0"], "other machines"),  # noqa: S104 - that it is refused
        (["--data", "/nowhere"], "no folder"),
        (["--account", "0"], "--account"),
        (["--latency-ms", "-1"], "--latency-ms"),
        (["--latency-ms", "nan"], "--latency-ms"),
    ],
)
def test_what_it_will_not_do_is_said_before_anything_is_served(arguments: list[str], told: str) -> None:
    code, said = _refused(*arguments)
    assert code == 2
    assert told in said


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("nothing")
    code, said = _refused("--data", str(tmp_path))
    assert code == 1
    assert "could be an event type" in said


def test_a_port_in_use_is_told() -> None:
    with _running() as server:
        code, said = _refused("--port", server.url.split(":")[2].split("/")[0])
    assert code == 1
    assert "cannot listen" in said


def test_without_graphql_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['graphql'] = None\n"
        "from server.simulate import simulate\n"
        "sys.exit(simulate(None, host='127.0.0.1', port=0, accounts=(1,), latency_ms=0))"
    )
    ended = _ended([sys.executable, "-P", "-c", code])
    assert ended.returncode == 1
    assert "uds-mcp[simulate]" in ended.stderr
