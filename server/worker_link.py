"""The link between a worker process and the one that watches over it: a pair of sockets, one end each.

The worker says through it that it serves. Whoever dies closes its end, and the other one notices.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

_READY = b"r"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as the process that started it sees it."""

    running: "subprocess.Popen[bytes]"
    link: socket.socket
    """Readable when the worker says something, or is gone."""

    def hears_ready(self) -> bool:
        """Take what the worker said; False when it is gone. Blocks unless `link` is readable."""
        try:
            return self.link.recv(len(_READY)) == _READY
        except OSError:
            return False

    def ended(self) -> int:
        """The exit code of a worker that is gone, or as good as: it is not waited for long."""
        self.link.close()
        try:
            return self.running.wait(1.0)
        except subprocess.TimeoutExpired:
            self.running.kill()
            return self.running.wait()


def start_worker(arguments: Sequence[str], listening: socket.socket) -> Worker:
    """Start our own command with these arguments, and hand it the socket. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    with theirs:
        handed = (listening.fileno(), theirs.fileno())
        # -P: a folder named `server` where this was started must not be taken for ours. A group of its own, because
        # a terminal sends Ctrl-C to the whole group, and the worker must be told once only, by us.
        running = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-P", "-m", "server", *arguments, "--inherited", f"{handed[0]},{handed[1]}"],
            pass_fds=handed,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
    return Worker(running=running, link=ours)


class Watcher:
    """The process that watches, as its worker sees it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def tell_ready(self) -> None:
        with contextlib.suppress(OSError):  # it is gone, and `stop_with_it` deals with that
            self._link.send(_READY)

    def stop_with_it(self) -> None:
        """Stop this process, as if asked to, as soon as the one that watches is gone."""
        threading.Thread(target=self._wait, name="watcher", daemon=True).start()

    def _wait(self) -> None:
        with contextlib.suppress(OSError):
            self._link.recv(1)  # nothing is ever said in this direction
        os.kill(os.getpid(), signal.SIGTERM)


def inherited(descriptors: str) -> tuple[socket.socket, Watcher]:
    """The listening socket and the link that this process was started with. Raises `OSError`, `ValueError`."""
    listening, link = (socket.socket(fileno=int(each)) for each in descriptors.split(","))
    for each in (listening, link):
        each.set_inheritable(False)  # the engine's workers must hold neither open
    return listening, Watcher(link)
