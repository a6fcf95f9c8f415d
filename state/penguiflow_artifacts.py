"""Artifacts of Penguiflow, in the journal: the pieces of the content, then the reference, all in one append.

An artifact is named after its content and whose it is, so putting the same again finds it, and nobody else's.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Final

from state.errors import OverLimit
from state.errors import StateBusy
from state.errors import StateUnavailable
from state.journal import Chapter
from state.journal import Draft
from state.journal import Journal
from state.journal import VersionMoved
from state.penguiflow_bounds import Bounds
from state.penguiflow_json import plain
from state.penguiflow_json import written
from state.penguiflow_models import Fields
from state.penguiflow_models import Foreign
from state.penguiflow_models import Models
from state.penguiflow_models import OfScope
from state.penguiflow_places import Place
from state.penguiflow_places import Places
from state.penguiflow_strands import append_or_make_room

_PIECE_BYTES: Final = 256 * 2**10
_TRIES: Final = 100
_SCOPE: Final = ("tenant_id", "user_id", "session_id", "trace_id")
_NEWEST: Final = 2**62
"""Reading after this version gives the head and no events."""


class PenguiflowArtifacts:
    """Penguiflow's `ArtifactStore`. The artifacts of one principal; scopes are kept, and asked for by `list`."""

    def __init__(
        self, journal: Journal, places: Places, clock: Callable[[], float], bounds: Bounds, models: Callable[[], Models]
    ) -> None:
        self._journal = journal
        self._places = places
        self._clock = clock
        self._bounds = bounds
        self._models = models

    async def put_bytes(
        self,
        data: bytes,
        *,
        mime_type: str | None = None,
        filename: str | None = None,
        namespace: str | None = None,
        scope: OfScope | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Foreign:
        """Keep the content and return its reference; what is kept already begins its life anew.

        Raises `OverLimit` when it is larger than an artifact may be.
        """
        if len(data) > self._bounds.artifact_bytes:
            raise OverLimit(
                f"the artifact has {len(data)} bytes, {self._bounds.artifact_bytes} at most. Keep it elsewhere, or "
                "open the store with a larger artifact_bytes."
            )
        described = {"mime_type": mime_type, "filename": filename, "namespace": namespace, "source": plain(meta or {})}
        reference = _reference(data, described, None if scope is None else _scope_of(scope))
        return self._models().artifact_ref(await self._put(data, reference))

    async def put_text(
        self,
        text: str,
        *,
        mime_type: str = "text/plain",
        filename: str | None = None,
        namespace: str | None = None,
        scope: OfScope | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Foreign:
        """As `put_bytes`, in UTF-8."""
        return await self.put_bytes(
            text.encode(errors="replace"),
            mime_type=mime_type,
            filename=filename,
            namespace=namespace,
            scope=scope,
            meta=meta,
        )

    async def get(self, artifact_id: str) -> bytes | None:
        """The content. None: unknown, expired or deleted. Raises `StateUnavailable` when it is damaged."""
        chapter = await self._journal.read(self._places.artifact(artifact_id).session_id)
        if chapter is None or not chapter.events:
            return None
        *pieces, _ = chapter.events
        content = b"".join(base64.b64decode(each.body.get("piece", "")) for each in pieces)
        reference = _reference_in(chapter)
        if reference is None or hashlib.sha256(content).hexdigest() != reference["sha256"]:
            raise StateUnavailable(f"artifact {artifact_id} is not what was put in. Delete it and put it again.")
        return content

    async def get_with_session_check(self, artifact_id: str, session_id: str) -> bytes | None:
        """The content, if it was put for this session. An artifact without a session belongs to `default`."""
        reference = await self._find(artifact_id)
        if reference is None or _session_of(reference) != session_id:
            return None
        return await self.get(artifact_id)

    async def get_ref(self, artifact_id: str) -> Foreign | None:
        """What is known of an artifact. None: unknown, expired or deleted."""
        reference = await self._find(artifact_id)
        return None if reference is None else self._models().artifact_ref(reference)

    async def exists(self, artifact_id: str) -> bool:
        return await self._find(artifact_id) is not None

    async def delete(self, artifact_id: str) -> bool:
        """End an artifact. False: there was none; of several who delete one, one is told True."""
        place = self._places.artifact(artifact_id)
        for _ in range(_TRIES):
            chapter = await self._journal.read(place.session_id, after=_NEWEST)
            if chapter is None:
                return False
            now = self._clock()
            draft = Draft(at=now, kind="penguin_deleted", actor=place.owner, body={})
            try:
                await self._journal.append(place.session_id, expected=chapter.head, drafts=[draft], expires_at=now)
            except VersionMoved:
                continue
            return True
        raise _busy()

    async def list(self, *, scope: OfScope | None = None) -> list[Foreign]:
        """The references of those whose scope agrees in every field that is given, the first put first."""
        wanted = {} if scope is None else {name: each for name, each in _scope_of(scope).items() if each is not None}
        found: list[Foreign] = []
        for session_id in reversed(await self._journal.sessions(self._places.owner("artifact"))):
            reference = _reference_in(await self._tail(session_id))
            if reference is not None and wanted.items() <= (reference["scope"] or {}).items():
                found.append(self._models().artifact_ref(reference))
        return found

    async def _put(self, content: bytes, reference: Fields) -> Fields:
        place = self._places.artifact(reference["id"])
        drafts = _drafts(content, reference, place, self._clock())
        for _ in range(_TRIES):
            chapter = await self._tail(place.session_id)
            kept = _reference_in(chapter)
            if kept is not None:
                await self._journal.touch(place.session_id, expires_at=self._clock() + place.life_s)
                return kept
            await self._make_room(place)
            try:
                head = None if chapter is None else chapter.head  # whose content was forgotten on request
                await append_or_make_room(self._journal, place, head, drafts, self._clock())
            except VersionMoved:  # somebody else has put the same meanwhile
                continue
            return reference
        raise _busy()

    async def _make_room(self, place: Place) -> None:
        """End those that were put first, so that there are not more than may be."""
        kept = await self._journal.sessions(place.owner)
        for session_id in kept[self._bounds.max_artifacts - 1 :]:
            await self._journal.touch(session_id, expires_at=self._clock())

    async def _find(self, artifact_id: str) -> Fields | None:
        return _reference_in(await self._tail(self._places.artifact(artifact_id).session_id))

    async def _tail(self, session_id: str) -> Chapter | None:
        """Its last event only: the pieces are large."""
        head = await self._journal.read(session_id, after=_NEWEST)
        return None if head is None else await self._journal.read(session_id, after=head.head.version - 1)


def _reference_in(chapter: Chapter | None) -> Fields | None:
    return chapter.events[-1].body.get("record") if chapter is not None and chapter.events else None


def _session_of(reference: Fields) -> str:
    scope: Fields = reference["scope"] or {"session_id": None}
    return scope["session_id"] or "default"


def _scope_of(scope: OfScope) -> dict[str, str | None]:
    return {name: plain(getattr(scope, name)) for name in _SCOPE}


def _reference(content: bytes, described: Mapping[str, Any], scope: Mapping[str, str | None] | None) -> Fields:
    sha256 = hashlib.sha256(content).hexdigest()
    named = hashlib.sha256(written([sha256, scope]).encode()).hexdigest()[:32]
    prefix = re.sub(r"[^A-Za-z0-9_-]+", "_", described["namespace"] or "").strip("_-") or "art"
    return {
        **plain(described),
        "id": f"{prefix}_{named}",
        "size_bytes": len(content),
        "sha256": sha256,
        "scope": None if scope is None else dict(scope),
    }


def _drafts(content: bytes, reference: Fields, place: Place, now: float) -> list[Draft]:
    pieces = [content[start : start + _PIECE_BYTES] for start in range(0, len(content), _PIECE_BYTES)]
    bodies = [{"piece": base64.b64encode(each).decode()} for each in pieces]
    return [Draft(at=now, kind=place.kind, actor=place.owner, body=body) for body in (*bodies, {"record": reference})]


def _busy() -> StateBusy:
    return StateBusy("artifacts of Penguiflow are written by many at once. Try again in a moment.")
