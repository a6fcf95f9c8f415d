"""The commands for the file with the state: what they take, and what they do with it.

All of them work while servers run on the same file, except `restore`, which says so.
"""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Final
from typing import TypeAlias

from server.exit_codes import EXIT_DONE
from server.exit_codes import EXIT_FAILED
from server.exit_codes import EXIT_WRONG
from server.settings import Settings

if TYPE_CHECKING:
    from state.sqlite.archive_lines import Refused

# What they do is imported by each, so that starting a server reads nothing of it.
# ruff: noqa: PLC0415

_SHOWN: Final = 100
_SHOWN_JSON: Final = 10_000
_DASHED = re.compile(r"-[\w-]{21}")

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - has no public name


def add_state_commands(commands: Commands) -> None:
    """Add the parsers of all these commands."""
    _add_looking(commands)
    _add_moving(commands)
    forgetting = _added(commands, "forget", "destroy what a session or a principal left behind, for good", _forget)
    whose = forgetting.add_mutually_exclusive_group(required=True)
    whose.add_argument("session", nargs="?", help=_SESSION)
    whose.add_argument("--principal", help="all sessions of this principal, and the name with them")
    forgetting.add_argument("--yes", action="store_true", help="do not ask first")


def _add_looking(commands: Commands) -> None:
    sessions = _added(commands, "sessions", "list the sessions that are remembered, last used first", _sessions)
    sessions.add_argument("--all", action="store_true", help=_ALL)
    sessions.add_argument("--principal", help=_PRINCIPAL)
    timeline = _added(commands, "timeline", "show what happened in a session, event by event", _timeline)
    timeline.add_argument("session", help=_SESSION)
    verify = _added(commands, "verify", "check that every history is as it was written, to the last event", _verify)
    verify.add_argument("session", nargs="?", help=f"{_SESSION} (default: all, and the whole file)")
    for each in (sessions, timeline, verify):
        each.add_argument("--json", action="store_true", help="for a program to read")


def _add_moving(commands: Commands) -> None:
    export = _added(commands, "export", "write sessions as JSON lines to standard output", _export)
    export.add_argument("sessions", nargs="*", metavar="session", help=f"{_SESSION} (default: all that are live)")
    export.add_argument("--all", action="store_true", help=_ALL)
    export.add_argument("--principal", help=_PRINCIPAL)
    importing = _added(commands, "import", "take in sessions that were exported, each checked before", _import)
    importing.add_argument("file", help="what export wrote; - reads standard input")
    backup = _added(commands, "backup", "copy the file with the state, while servers run", _backup)
    backup.add_argument("file", type=Path, help="the copy to make; nothing is overwritten")
    restore = _added(commands, "restore", "put such a copy in place, while no server runs", _restore)
    restore.add_argument("file", type=Path, help="the copy to put in place; what is there now is kept aside")


_SESSION = "its name, or the first 6 characters or more of it"
_ALL = "also those that have ended and are still kept"
_PRINCIPAL = "only those of this principal"


def dashes_last(arguments: Sequence[str]) -> list[str]:
    """The arguments with sessions whose names begin with a dash behind `--`, where they are no options."""
    if not any(_DASHED.fullmatch(each) for each in arguments) or "--" in arguments:
        return [*arguments]
    named = [each for each in arguments if _DASHED.fullmatch(each)]
    return [*(each for each in arguments if each not in named), "--", *named]


def run_state_command(settings: Settings, asked: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    from state.errors import StateError
    from state.sqlite.file import JOURNAL_NAME

    if settings.store == "redis":
        return _shared(settings, asked)
    path = settings.state_dir / JOURNAL_NAME
    if not path.exists() and asked.command not in {"import", "restore"}:
        _tell(f"no state yet at {path}: it is made when a session is first opened")
        return EXIT_FAILED
    try:
        code: int = asked.act(path, asked)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except StateError as fault:
        from server.state_shown import plain

        _tell(plain(str(fault), most=2_000))
        return EXIT_FAILED
    return code


def _shared(settings: Settings, asked: argparse.Namespace) -> int:
    """The same for sessions in Redis, as far as it is ours to do."""
    from server.state_shown import plain
    from state.errors import StateError

    act = _SHARED.get(asked.command)
    if act is None:
        _tell(
            f"uds-mcp {asked.command} works on a file, and STATE_STORE_TYPE is redis: use the backups of Redis, "
            "or set STATE_STORE_TYPE=sqlite for this command to work on the file of this machine"
        )
        return EXIT_WRONG
    try:
        return asyncio.run(act(settings, asked))
    except StateError as fault:
        _tell(plain(str(fault), most=2_000))
        return EXIT_FAILED


async def _shared_sessions(settings: Settings, asked: argparse.Namespace) -> int:
    from server.shared_looks import listed
    from server.shared_looks import shared_journal
    from server.state_shown import sessions_json
    from server.state_shown import sessions_text

    async with shared_journal(settings) as journal:
        limit = _SHOWN_JSON if asked.json else _SHOWN
        listing = await listed(journal, owner=asked.principal, past=asked.all, limit=limit)
    _say(sessions_json(listing) if asked.json else sessions_text(listing, now=time.time()))
    return EXIT_DONE


async def _shared_timeline(settings: Settings, asked: argparse.Namespace) -> int:
    from server.shared_looks import shared_journal
    from server.shared_looks import timeline
    from server.state_shown import timeline_json
    from server.state_shown import timeline_text

    async with shared_journal(settings) as journal:
        found = await timeline(journal, asked.session)
    _say(timeline_json(found) if asked.json else timeline_text(found))
    return EXIT_DONE


async def _shared_verify(settings: Settings, asked: argparse.Namespace) -> int:
    from server.settings_values import url_text
    from server.shared_looks import shared_journal
    from server.shared_looks import verified
    from server.state_shown import verification_json
    from server.state_shown import verification_text

    async with shared_journal(settings) as journal:
        verification = await verified(journal, asked.session, url_text(settings.redis_url or ""))
    _say(verification_json(verification) if asked.json else verification_text(verification))
    return EXIT_DONE if verification.ok else EXIT_FAILED


_SHARED: Final = {"sessions": _shared_sessions, "timeline": _shared_timeline, "verify": _shared_verify}


def _sessions(path: Path, asked: argparse.Namespace) -> int:
    from server.state_shown import sessions_json
    from server.state_shown import sessions_text
    from state.sqlite.listing import listed

    now = time.time()
    limit = _SHOWN_JSON if asked.json else _SHOWN
    listing = listed(path, now=now, owner=asked.principal, past=asked.all, limit=limit)
    _say(sessions_json(listing) if asked.json else sessions_text(listing, now=now))
    return EXIT_DONE


def _timeline(path: Path, asked: argparse.Namespace) -> int:
    from server.state_shown import timeline_json
    from server.state_shown import timeline_text
    from state.sqlite.listing import timeline

    found = timeline(path, asked.session)
    _say(timeline_json(found) if asked.json else timeline_text(found))
    return EXIT_DONE


def _verify(path: Path, asked: argparse.Namespace) -> int:
    from server.state_shown import verification_json
    from server.state_shown import verification_text
    from state.sqlite.verify import verify_file

    verification = verify_file(path, session=asked.session)
    _say(verification_json(verification) if asked.json else verification_text(verification))
    return EXIT_DONE if verification.ok else EXIT_FAILED


def _export(path: Path, asked: argparse.Namespace) -> int:
    from state.sqlite.archive import export_sessions

    def write(line: str) -> None:
        sys.stdout.buffer.write(line.encode())

    done = export_sessions(path, write, sessions=asked.sessions, owner=asked.principal, past=asked.all)
    _tell(f"exported {_counted(done.sessions, 'session')} with {_counted(done.events, 'event')}")
    return _refusals(done.refused)


def _import(path: Path, asked: argparse.Namespace) -> int:
    from state.sqlite.archive import import_sessions
    from state.sqlite.archive import lines_of

    try:
        with sys.stdin.buffer if asked.file == "-" else Path(asked.file).open("rb") as stream:
            done = import_sessions(path, lines_of(stream), now=time.time())
    except OSError as fault:
        _tell(f"{asked.file} cannot be read: {fault.strerror or fault}")
        return EXIT_FAILED
    _say(
        f"imported {_counted(len(done.added), 'session')}; "
        f"{len(done.extended)} were here and go on now, {len(done.known)} were here as they are"
    )
    return _refusals(done.refused)


def _backup(path: Path, asked: argparse.Namespace) -> int:
    from state.sqlite.backup import back_up
    from state.sqlite.backup import manifest_path

    made = back_up(path, asked.file, now=time.time())
    _say(
        f"backed up {_counted(made.sessions, 'session')} with {_counted(made.events, 'event')}, "
        f"{made.size_bytes:,} bytes, to {asked.file}\nits manifest is {manifest_path(asked.file)}; keep both"
    )
    return EXIT_DONE


def _restore(path: Path, asked: argparse.Namespace) -> int:
    from state.sqlite.backup import restore

    done = restore(path, asked.file, now=time.time())
    _say(f"restored {_counted(done.sessions, 'session')} with {_counted(done.events, 'event')} to {path}")
    if done.aside is not None:
        _say(f"what was there is kept as {done.aside}")
    if done.manifest is None:
        _say("there was no manifest beside the backup: it was checked by its own structures and chains only")
    return EXIT_DONE


def _forget(path: Path, asked: argparse.Namespace) -> int:
    from state.sqlite.forget import forget
    from state.sqlite.listing import meant

    sessions = meant(path, session=asked.session, principal=asked.principal)
    if not sessions:
        _tell(f"no session belongs to principal {asked.principal!r}: `uds-mcp sessions --all --json` names the owners")
        return EXIT_FAILED
    whose = f"session {sessions[0]}" if asked.principal is None else f"all {len(sessions)} sessions of that principal"
    if not asked.yes and not _agreed(whose):
        return EXIT_WRONG
    exact = None if asked.principal is not None else sessions[0]
    done = forget(path, session=exact, principal=asked.principal, now=time.time())
    _say(f"forgot {_counted(done.events, 'event')} of {_counted(len(done.sessions), 'session')}, for good")
    aside = sorted(each.name for each in path.parent.glob("*.db.*-*") if not each.name.endswith(("-wal", "-shm")))
    told = f", and so do files kept aside in {path.parent}: {', '.join(aside)}" if aside else ""
    _say(f"backups and exports that were made before still hold them{told}")
    if done.lingering:
        _tell("others use the file or the disk is full, so copies may linger in it: run this again to clear them")
        return EXIT_FAILED
    return EXIT_DONE


def _agreed(whose: str) -> bool:
    if not sys.stdin.isatty():
        _tell("uds-mcp forget: add --yes when nobody is there to be asked")
        return False
    print(f"The contents of {whose} will be destroyed for good. Go on? [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    _tell("nothing was forgotten")
    return False


def _refusals(refused: "Sequence[Refused]") -> int:
    from server.state_shown import refusal_text

    for each in refused:
        _tell(refusal_text(each))
    return EXIT_FAILED if refused else EXIT_DONE


def _added(
    commands: Commands, name: str, about: str, act: Callable[[Path, argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False)
    parser.set_defaults(act=act)
    return parser


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _say(text: str) -> None:
    """The answer of the command, in whatever characters the output has."""
    encoding = sys.stdout.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding))  # noqa: T201


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - what the command says to the operator
