"""A copy of the file as it was at one moment, checked before it is trusted; and such a copy put back in place."""

import hashlib
import json
import os
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing
from contextlib import contextmanager
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import fields
from pathlib import Path
from typing import Any
from typing import Final

from state.chain import Link
from state.errors import InvalidValue
from state.errors import StateUnavailable
from state.sqlite.file import connect
from state.sqlite.lock import exclusive
from state.sqlite.steps import bring_up
from state.sqlite.swap import aside_of
from state.sqlite.swap import discard
from state.sqlite.swap import put_in_place
from state.sqlite.swap import sync
from state.sqlite.tables import STEPS
from state.sqlite.verify import Verification
from state.sqlite.verify import anchors_beside
from state.sqlite.verify import verify_against
from state.sqlite.visits import looking
from state.sqlite.visits import refuse_others
from state.sqlite.visits import told

_MANIFEST_BYTES_MOST: Final = 64 * 2**10
_CHUNK_BYTES: Final = 2**20
_BUSY_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds, kept beside it."""

    file: str
    """Its name when it was made."""
    made_at: float
    format: int
    """The number of steps the form of the tables has taken."""
    size_bytes: int
    sha256: str
    sessions: int
    events: int
    heads: str
    """SHA-256 over the ends of all histories, sorted by session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What is in place now."""

    sessions: int
    events: int
    manifest: Manifest | None
    """None: the backup came without one, and was checked by its own structures and chains."""
    aside: Path | None
    """Where the file that was in place is kept. None: there was none."""


def back_up(path: Path, to: Path, *, now: float) -> Manifest:
    """Copy the file as it is at one moment, while servers write, and put a manifest beside the copy.

    Raises `InvalidValue` (something is at `to` already, or there is no such folder), `StateBusy`, `StateUnavailable`:
    also when the file is not as it was written, because such a copy would be worth nothing.
    """
    for place in (to, manifest_path(to)):
        if place.exists():
            raise InvalidValue(f"{place} is there already: give another name, nothing is overwritten")
    if not to.parent.is_dir():
        raise InvalidValue(f"there is no folder {to.parent}: make it, or give another place")
    with told(to), _begun(to) as part:
        anchors, _ = anchors_beside(path)
        with looking(path) as journal:
            refuse_others(journal, path)
            _copy(journal, part, mode="DELETE")
        verification, heads = _proven(verify_against(part, anchors, lambda: anchors_beside(path)[0]))
        sync(part)
        manifest = _manifest(to, part, verification, heads, now)
        _settle(part, to)
        _write_manifest(manifest_path(to), manifest)
    return manifest


def restore(path: Path, source: Path, *, now: float) -> Restored:
    """Put a backup in the place of the file. No server may be running on it.

    Raises `InUse`, `InvalidValue` (the backup is not what its manifest says, or not as it was written),
    `StateBusy`, `StateUnavailable`.
    """
    if not source.is_file():
        raise InvalidValue(f"there is no backup at {source}")
    if path.exists() and path.samefile(source):
        raise InvalidValue(f"{source} is the file in use itself: give the path of a backup")
    manifest = _manifest_of(source)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with told(path), exclusive(path), _begun(path) as part:
        with looking(source) as backup:
            refuse_others(backup, source)
            _copy(backup, part, mode="WAL")
        verification, heads = _proven(verify_against(part, {}, dict))
        if manifest is not None and manifest.heads != _digest(heads):
            raise InvalidValue(f"{source} does not hold the histories that its manifest names: nothing was changed")
        sync(part)
        aside = aside_of(path, "before-restore", now)
        replaced = path.exists()
        put_in_place(path, part, heads, aside=aside)
    return Restored(
        sessions=verification.sessions, events=verification.events, manifest=manifest, aside=aside if replaced else None
    )


def manifest_path(backup: Path) -> Path:
    return backup.with_name(f"{backup.name}.manifest.json")


@contextmanager
def _begun(to: Path) -> Generator[Path]:
    """A private file in the same folder; nothing is left of it if the body does not finish with it."""
    part = to.with_name(f".{to.name}.{secrets.token_hex(6)}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield part
    finally:
        discard(part)


def _copy(journal: sqlite3.Connection, part: Path, *, mode: str) -> None:
    with closing(connect(part, "mode=rw", busy_s=_BUSY_S)) as copy:
        journal.backup(copy)  # in one step: one moment, however much is written meanwhile
        bring_up(copy, STEPS)
        copy.execute(f"PRAGMA journal_mode = {mode}")


def _proven(verification: Verification) -> tuple[Verification, dict[str, Link]]:
    """What was checked, with the ends of its histories. Raises `StateUnavailable` if anything is wrong."""
    if not verification.ok:
        wrong = verification.wrong[0]
        named = "" if wrong.session is None else f"Session {wrong.session}: "
        raise StateUnavailable(f"this is not as it was written, so nothing was copied. {named}{wrong.fault}")
    with looking(Path(verification.path)) as copy:
        rows = copy.execute("SELECT id, version, link FROM sessions")
        return verification, {each: Link(version=version, link=link) for each, version, link in rows}


def _digest(heads: dict[str, Link]) -> str:
    lines = (f"{each} {head.version} {head.link.hex()}\n" for each, head in sorted(heads.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _manifest(to: Path, part: Path, verification: Verification, heads: dict[str, Link], now: float) -> Manifest:
    return Manifest(
        file=to.name,
        made_at=now,
        format=len(STEPS),
        size_bytes=part.stat().st_size,
        sha256=_sha256(part),
        sessions=verification.sessions,
        events=verification.events,
        heads=_digest(heads),
    )


def _settle(part: Path, to: Path) -> None:
    """Give the finished file its name, unless somebody else took that meanwhile."""
    try:
        os.link(part, to)
    except FileExistsError as fault:
        raise InvalidValue(f"{to} is there already: give another name, nothing is overwritten") from fault
    except OSError:  # a file system without links
        if to.exists():
            raise InvalidValue(f"{to} is there already: give another name, nothing is overwritten") from None
        part.replace(to)
    sync(to)


def _write_manifest(place: Path, manifest: Manifest) -> None:
    descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n")
    sync(place)


def _manifest_of(source: Path) -> Manifest | None:
    """The manifest of a backup, which must fit it. None: there is none. Raises `InvalidValue`."""
    place = manifest_path(source)
    if not place.exists():
        return None
    try:
        with place.open("rb") as file:
            told: dict[str, Any] = json.loads(file.read(_MANIFEST_BYTES_MOST))
        manifest = Manifest(**{each.name: told[each.name] for each in fields(Manifest)})
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InvalidValue(f"{place} cannot be read as a manifest: move it away to restore without it") from fault
    if manifest.size_bytes != source.stat().st_size or manifest.sha256 != _sha256(source):
        raise InvalidValue(f"{source} is not the file its manifest describes (SHA-256 differs): nothing was changed")
    return manifest


def _sha256(place: Path) -> str:
    digest = hashlib.sha256()
    with place.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
