"""Redis as it is run by others: behind sentinels, as a cluster, encrypted. On free ports, gone with the test."""

import contextlib
import datetime as dt
import ipaddress
import subprocess
import time
from collections.abc import Callable
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.redis_server import RedisServer
from tests.redis_server import free_port
from tests.redis_server import redis_binary

_SLOTS = 16_384
_AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""Replicas get what there is without waiting for others to come."""
_SERVICE = "uds-test"
_HASTE = ("INFO-PERIOD", "100", "PUBLISH-PERIOD", "100", "ASK-PERIOD", "100")
"""In milliseconds: sentinels look around every few seconds otherwise."""


def until(true: Callable[[], bool], *, within_s: float = 15.0) -> None:
    """Wait for something that servers do among themselves."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def asked(port: int, *parts: str) -> bytes:
    """The raw answer of whoever listens there; empty while nobody does."""
    try:
        return RedisServer(Path(), port=port).ask(*parts)
    except OSError:
        return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A master, a replica and sentinels that may put the one in the other's place."""

    master: RedisServer
    replica: RedisServer
    sentinels: tuple[int, ...]
    """Their ports."""

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinels)}/{_SERVICE}"

    def replicated(self) -> bool:
        """Whether the replica has all that the master has."""
        return self.master.ask("DBSIZE") == self.replica.ask("DBSIZE")

    def demoted(self) -> bool:
        return b"role:slave" in asked(self.master.port, "INFO", "replication")

    def promoted(self) -> bool:
        return b"role:master" in asked(self.replica.port, "INFO", "replication")


@contextlib.contextmanager
def watched_by_sentinels(folder: Path, *, count: int = 3) -> Generator[Watched]:
    """Notices within half a second that the master is gone."""
    with contextlib.ExitStack() as stack:
        master = _started(stack, RedisServer(folder / "master", options=_AT_ONCE))
        replica = _started(
            stack, RedisServer(folder / "replica", options=[*_AT_ONCE, "--replicaof", "127.0.0.1", str(master.port)])
        )
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        ports = tuple(_sentinel(stack, folder / f"sentinel{one}", master.port, count) for one in range(count))
        for port in ports:
            until(lambda port=port: _knows_all(port, count))
        yield Watched(master=master, replica=replica, sentinels=ports)


def _started(stack: contextlib.ExitStack, server: RedisServer) -> RedisServer:
    server.start()
    stack.callback(server.kill)
    return server


def _sentinel(stack: contextlib.ExitStack, folder: Path, master: int, count: int) -> int:
    port = free_port()
    folder.mkdir(parents=True)
    place = folder / "sentinel.conf"
    place.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {_SERVICE} 127.0.0.1 {master} {count // 2 + 1}\n"
        f"sentinel down-after-milliseconds {_SERVICE} 500\n"
        f"sentinel failover-timeout {_SERVICE} 2000\n"
    )
    with (folder / "log.txt").open("ab") as log:
        running = subprocess.Popen([redis_binary() or "redis-server", str(place), "--sentinel"], stdout=log, stderr=log)
    stack.callback(running.wait, 10)
    stack.callback(running.kill)
    until(lambda: asked(port, "SENTINEL", "DEBUG", *_HASTE).startswith(b"+OK"))
    return port


def _knows_all(port: int, count: int) -> bool:
    told = asked(port, "INFO", "sentinel")
    return b"slaves=1" in told and f"sentinels={count}".encode() in told


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Three nodes with a third of the slots each, and a replica for the one that has a given slot."""

    nodes: tuple[RedisServer, ...]
    replica: RedisServer

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def owner(self, slot: int) -> RedisServer:
        return self.nodes[slot * len(self.nodes) // _SLOTS]

    def replicated(self, slot: int) -> bool:
        """Whether the replica has all that the node with that slot has."""
        return self.owner(slot).ask("DBSIZE") == self.replica.ask("DBSIZE")

    def name(self, node: RedisServer) -> str:
        """As nodes call it among themselves."""
        return node.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()

    def move(self, slot: int, to: RedisServer) -> None:
        """Hand an empty slot over."""
        for node in (to, self.owner(slot), *self.nodes):
            assert node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", self.name(to)).startswith(b"+OK")


@contextlib.contextmanager
def ring_of_nodes(folder: Path, *, replicated: int) -> Generator[Ring]:
    """Notices within half a second that a node is gone. `replicated`: a slot whose node has a replica."""
    with contextlib.ExitStack() as stack:
        buses = [free_port() for _ in range(4)]
        four = [_node(stack, folder / f"node{number}", bus) for number, bus in enumerate(buses)]
        nodes, replica = tuple(four[:3]), four[3]
        ring = Ring(nodes=nodes, replica=replica)
        for number, node in enumerate(nodes):
            first, last = -(-number * _SLOTS // 3), -(-(number + 1) * _SLOTS // 3) - 1
            assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)).startswith(b"+OK")
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for node, bus in zip(four[1:], buses[1:], strict=True):
            four[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus))
        until(lambda: all(_agrees(node) for node in nodes))
        owner = ring.name(ring.owner(replicated))
        until(lambda: replica.ask("CLUSTER", "REPLICATE", owner).startswith(b"+OK"))
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        until(lambda: all(b"slave" in node.ask("CLUSTER", "NODES") for node in nodes))
        yield ring


def _node(stack: contextlib.ExitStack, folder: Path, bus: int) -> RedisServer:
    options = [*_AT_ONCE, "--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--cluster-port", str(bus)]
    return _started(stack, RedisServer(folder, options=options))


def _agrees(node: RedisServer) -> bool:
    told = node.ask("CLUSTER", "INFO")
    return b"cluster_state:ok" in told and b"cluster_known_nodes:4" in told


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """Files that show who somebody is, and the authority that vouches for it."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def server_options(self) -> list[str]:
        """For a server that asks its clients for papers too."""
        return [
            *("--tls-ca-cert-file", str(self.authority)),
            *("--tls-cert-file", str(self.certificate)),
            *("--tls-key-file", str(self.key)),
        ]

    @property
    def url_options(self) -> str:
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.certificate}&ssl_keyfile={self.key}"


_ONLY_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""Since 3.13 Python asks certificates for what RFC 5280 demands, this and who vouched among it."""


def papers(folder: Path) -> Papers:
    """Made for 127.0.0.1, good for a day, by an authority of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _named("UDS test authority")
    authority = (
        _vouched(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_ONLY_SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        _vouched(_named("127.0.0.1"), authority_name, key.public_key())
        .add_extension(place, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    made = Papers(authority=folder / "ca.pem", certificate=folder / "own.pem", key=folder / "own.key")
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _vouched(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
