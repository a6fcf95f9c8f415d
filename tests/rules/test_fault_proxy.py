"""The proxy that tests put before servers does to connections what it is told, and nothing else."""

import contextlib
import socket
import threading
import time
from collections.abc import Generator
from collections.abc import Iterator

import pytest

from tests.fault_proxy import FaultProxy
from tests.fault_proxy import fault_proxy

_SHORT_S = 0.15


class _Echo:
    """Answers each line with the same line, and remembers all of them."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.hears = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def wait_for(self, line: bytes) -> bool:
        with self.hears:
            return self.hears.wait_for(lambda: line in self.heard, 5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listening.accept()[0],), daemon=True).start()

    def _answer(self, wire: socket.socket) -> None:
        with contextlib.suppress(OSError), wire, wire.makefile("rb") as lines:
            for line in lines:
                with self.hears:
                    self.heard.append(line.strip())
                    self.hears.notify_all()
                wire.sendall(line)


@pytest.fixture
def echo() -> Iterator[_Echo]:
    server = _Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: _Echo) -> Iterator[FaultProxy]:
    with fault_proxy(echo.port) as running:
        yield running


@contextlib.contextmanager
def _connected(proxy: FaultProxy) -> Generator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as wire:
        yield wire


def _said(wire: socket.socket, line: bytes) -> bytes:
    """What comes back; empty when the connection ends instead."""
    try:
        wire.sendall(line + b"\n")
        return wire.recv(100).strip()
    except ConnectionError:
        return b""


def _is_silent(wire: socket.socket) -> bool:
    wire.settimeout(_SHORT_S)
    try:
        return wire.recv(100) == b"nothing ever comes"
    except TimeoutError:
        return True
    finally:
        wire.settimeout(5)


def test_everything_passes_until_a_fault_is_wanted(proxy: FaultProxy) -> None:
    with _connected(proxy) as wire:
        assert [_said(wire, b"%d" % number) for number in range(3)] == [b"0", b"1", b"2"]


def test_new_connections_are_refused_and_old_ones_go_on(proxy: FaultProxy) -> None:
    with _connected(proxy) as old:
        assert _said(old, b"before") == b"before"
        proxy.refuse()
        with contextlib.suppress(ConnectionError), _connected(proxy) as new:
            assert _said(new, b"lost") == b""
        assert _said(old, b"after") == b"after"
        proxy.heal()
        with _connected(proxy) as new:
            assert _said(new, b"healed") == b"healed"


def test_old_connections_are_cut_and_new_ones_are_welcome(proxy: FaultProxy) -> None:
    with _connected(proxy) as old:
        assert _said(old, b"before") == b"before"
        proxy.cut()
        assert _said(old, b"lost") == b""
        with _connected(proxy) as new:
            assert _said(new, b"after") == b"after"


def test_what_is_frozen_goes_on_when_it_is_healed(proxy: FaultProxy, echo: _Echo) -> None:
    with _connected(proxy) as wire:
        assert _said(wire, b"before") == b"before"
        proxy.freeze()
        wire.sendall(b"waits\n")
        assert _is_silent(wire)
        assert b"waits" not in echo.heard
        proxy.heal()
        assert wire.recv(100) == b"waits\n"


def test_only_the_way_back_can_be_frozen(proxy: FaultProxy, echo: _Echo) -> None:
    with _connected(proxy) as wire:
        assert _said(wire, b"before") == b"before"
        proxy.freeze(up=False)
        wire.sendall(b"arrives\n")
        assert echo.wait_for(b"arrives")
        assert _is_silent(wire)


def test_answers_are_delayed_by_as_much_as_is_wanted(proxy: FaultProxy) -> None:
    with _connected(proxy) as wire:
        assert _said(wire, b"before") == b"before"
        proxy.delay(up_s=_SHORT_S, down_s=_SHORT_S)
        began_s = time.monotonic()
        assert _said(wire, b"late") == b"late"
        assert time.monotonic() - began_s >= 2 * _SHORT_S


@pytest.mark.parametrize("after_bytes", [0, 3])
def test_a_connection_is_cut_within_an_answer_whose_question_was_heard(
    proxy: FaultProxy, echo: _Echo, after_bytes: int
) -> None:
    with _connected(proxy) as wire, _connected(proxy) as other:
        proxy.snip(after_bytes=after_bytes, asked=b"carry")
        assert _said(other, b"something else") == b"something else"
        assert _said(wire, b"carry this out") == b"carry this out"[:after_bytes]
        assert _said(wire, b"gone") == b""
        assert echo.wait_for(b"carry this out")
        assert proxy.snipped == 1
        assert _said(other, b"carry on") == b"carry on"


def test_a_server_that_is_gone_ends_connections(proxy: FaultProxy, echo: _Echo) -> None:
    echo.close()
    unreachable = FaultProxy(1)
    unreachable.start()
    with contextlib.suppress(ConnectionError), _connected(unreachable) as wire:
        assert _said(wire, b"nobody") == b""
    unreachable.close()
    assert proxy.connections == 0
