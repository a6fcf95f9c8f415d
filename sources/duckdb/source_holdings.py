"""What the configured paths hold now: the mounted engine, its catalogue, and whether the files moved since."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sources.duckdb.engine import Engine
from sources.duckdb.files import Found
from sources.duckdb.files import FoundFile
from sources.duckdb.files import find
from sources.duckdb.files_stamp import Stamp
from sources.duckdb.files_stamp import file_stamps
from sources.duckdb.files_stamp import folder_stamp
from sources.duckdb.files_stamp import folder_stamps
from sources.duckdb.files_stamp import token
from sources.duckdb.limits import EngineLimits
from sources.duckdb.source_catalogue import Catalogue
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_catalogue import read_catalogue
from sources.duckdb.sqlite_copy_run import Copies
from sources.errors import SourceUnreachable
from sources.protocol import Json

_TICK_NS: Final = 20_000_000
"""Two changes within a tick of the file system's clock (4 to 16 ms) may leave the same stamp."""
_MANY: Final = 1_000
"""Stamps that are taken on the event loop at most: 2.5 ms."""


class Holdings:
    """Belongs to one event loop, except `prestart`. Looking again is done by one task for all."""

    def __init__(self, paths: tuple[Path, ...], source: str, limits: EngineLimits, workers: int) -> None:
        self._paths = paths
        self._source = source
        self._limits = limits
        self._workers = workers
        self._copies = Copies()
        self._engine: Engine | None = None
        self._catalogue: Catalogue | None = None
        self._found: Found | None = None
        self._files: dict[str, Stamp] = {}
        self._folders: dict[str, int | None] = {}
        self._loose: set[str] = set()
        self._looking: asyncio.Task[Catalogue] | None = None
        self._places: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._tokens: dict[str | None, str] = {}
        self._is_mounted = False

    @property
    def engine(self) -> Engine:
        """Raises `SourceUnreachable` before the first catalogue."""
        if self._engine is None:
            raise SourceUnreachable("the engine has not been started")
        return self._engine

    @property
    def started(self) -> Engine | None:
        """The engine, when there is one."""
        return self._engine

    @property
    def found(self) -> Found | None:
        """What the last walk met."""
        return self._found

    def prestart(self) -> None:
        """Walk and spawn the first worker, unless SQLite files have to be copied first or a file is still changing."""
        found = find(self._paths)
        self._note(found)
        if self._is_settled() and not any(file.format == "sqlite" for file in found.files):
            self._engine = self._engine_over(found, {})
            self._engine.prestart()
            self._is_mounted = True

    async def catalogue(self) -> Catalogue:
        """The catalogue, looked at again when any file or folder changed."""
        while (standing := self._catalogue) is None or await self._all_changed():
            looked = await self._looked_again()
            if looked is not None:
                return looked
        return standing

    async def known(self, schema: str) -> Known:
        """One schema, looked at again when a file or folder of its own changed. Raises `UnknownSchema`."""
        catalogue = self._catalogue
        known = None if catalogue is None else catalogue.known.get(schema)
        if known is None or self._changed(*self._places_of(known)):
            return (await self.catalogue()).find(schema)
        return known

    async def token(self, schema: str | None) -> str:
        """The fingerprint of a schema or of everything. Raises `UnknownSchema`."""
        if schema is None:
            await self.catalogue()
            known = None
        else:
            known = await self.known(schema)
        # The files were just seen to be as they were when they were noted, so what was made of the notes still holds.
        if schema not in self._tokens:
            self._tokens[schema] = self._token_of(schema, known)
        return self._tokens[schema]

    def _token_of(self, schema: str | None, known: Known | None) -> str:
        if known is None:
            return token((self._files, self._folders, sorted(self._loose)))
        files, folders = self._places_of(known)
        noted = [(path, self._files.get(path)) for path in files]
        return token((noted, [(path, self._folders.get(path)) for path in folders], schema in self._loose))

    def _places_of(self, known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = self._places.get(known.schema.name)
        if found is None:
            found = self._places[known.schema.name] = places(known)
        return found

    async def loosen(self, schemas: Iterable[str]) -> None:
        """Read these CSV schemas as text from now on: a value did not fit the type its column seemed to have."""
        self._loose |= set(schemas)
        self._is_mounted = False
        while await self._looked_again() is None:
            self._is_mounted = False

    async def has_moved(self) -> bool:
        """Whether anything changed since the catalogue was made."""
        return await self._all_changed()

    def is_loose(self, schema: str) -> bool:
        """Whether the schema is read as text already."""
        return schema in self._loose

    async def aclose(self) -> None:
        """End the look under way and the workers, and remove the private copies."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._engine is not None:
            await self._engine.aclose()
        await asyncio.to_thread(self._copies.close)

    async def _looked_again(self) -> Catalogue | None:
        """None: the look had begun before the caller asked, so what it saw is to be checked."""
        joined = self._looking
        looking = joined or self._begun()
        looked = await asyncio.shield(looking)
        return None if joined else looked

    def _begun(self) -> asyncio.Task[Catalogue]:
        """A look in a task of its own: it may take long, and a caller who gives up must not make it begin anew."""
        looking = asyncio.get_running_loop().create_task(self._look())
        looking.add_done_callback(self._ended)
        self._looking = looking
        return looking

    def _ended(self, looking: asyncio.Task[Catalogue]) -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # seen, even when everybody who waited has gone

    async def _look(self) -> Catalogue:
        # Who is stopped in here leaves no catalogue of one state beside an engine of another.
        self._catalogue = None
        if not self._is_mounted or await self._all_changed():
            self._is_mounted = False
            found = await self._walked()
            stores = [file.path for file in found.files if file.format == "sqlite"]
            copies = await asyncio.to_thread(self._copies.made, stores) if stores else {}
            await self._mount(found, copies)
            self._is_mounted = True
        answer = await self.engine.ready()
        self._copies.forget_old()
        self._catalogue = read_catalogue(answer, self._source)
        return self._catalogue

    async def _walked(self) -> Found:
        found = await asyncio.to_thread(find, self._paths)
        self._note(found)
        if not self._is_settled():
            await asyncio.sleep(_TICK_NS / 1e9)
            found = await asyncio.to_thread(find, self._paths)
            self._note(found)
        return found

    async def _mount(self, found: Found, copies: dict[str, Json]) -> None:
        if self._engine is None:
            self._engine = self._engine_over(found, copies)
        else:
            await self._engine.remount(self._plan(found, copies), self._readable(found))

    def _engine_over(self, found: Found, copies: dict[str, Json]) -> Engine:
        plan = self._plan(found, copies)
        return Engine(mount=plan, readable=self._readable(found), limits=self._limits, workers=self._workers)

    def _plan(self, found: Found, copies: dict[str, Json]) -> dict[str, Json]:
        files: list[Json] = [asdict(file) for file in found.files]
        loose: list[Json] = [*sorted(self._loose)]
        return {"files": files, "copies": copies, "loose": loose}

    def _readable(self, found: Found) -> tuple[str, ...]:
        """Configured folders whole, configured files alone; SQLite files only as their copies."""
        roots = dict(found.folders)
        alone = [file.path for file in found.files if file.root not in roots and file.format != "sqlite"]
        logs = [f"{path}.wal" for path in alone if Path(f"{path}.wal").exists()]
        copies = [] if self._copies.folder is None else [self._copies.folder]
        return (*dict.fromkeys(file.root for file in found.files if file.root in roots), *alone, *logs, *copies)

    def _note(self, found: Found) -> None:
        self._found = found
        self._tokens.clear()
        self._places.clear()
        self._files = dict(file_stamps(path for file in found.files for path in watched(file)))
        self._folders = dict(found.folders) | dict(folder_stamps(found.missing))

    def _is_settled(self) -> bool:
        edge_ns = time.time_ns() - _TICK_NS
        files = (stamps for stamps in self._files.values() if stamps is not None)
        folders = (at for at in self._folders.values() if at is not None)
        return all(max(stamps[2], stamps[3]) < edge_ns for stamps in files) and all(at < edge_ns for at in folders)

    async def _all_changed(self) -> bool:
        if len(self._files) + len(self._folders) > _MANY:
            return await asyncio.to_thread(self._changed, tuple(self._files), tuple(self._folders))
        return self._changed(tuple(self._files), tuple(self._folders))

    def _changed(self, files: tuple[str, ...], folders: tuple[str, ...]) -> bool:
        if any(self._files.get(path) != now for path, now in file_stamps(files)):
            return True
        return any(folder_stamp(path) != self._folders[path] for path in folders if path in self._folders)


def watched(file: FoundFile) -> tuple[str, ...]:
    """A file and the write-ahead log that may hold its newest rows."""
    if file.format == "sqlite":
        return file.path, f"{file.path}-wal"
    return (file.path, f"{file.path}.wal") if file.format == "duckdb" else (file.path,)


def places(known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files of a schema, and the folders in which another file would belong to it."""
    folders: dict[str, None] = {}
    for path in known.files:
        folder = Path(path).parent
        folders[str(folder)] = None
        while "=" in folder.name:
            folder = folder.parent
            folders[str(folder)] = None
    return known.files, tuple(folders)
