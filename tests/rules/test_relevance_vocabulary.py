"""Words are read behind answers: nothing waits long for them, and each state of a source is read once."""

import asyncio
from collections.abc import Sequence

import pytest

from sources.errors import SourceUnreachable
from sources.protocol import Attribute
from sources.protocol import AttributeWords
from sources.protocol import Description
from sources.protocol import Profile
from sources.protocol import Progress
from sources.protocol import Schema
from sources.protocol import Table
from sources.protocol import silent
from state.cache import ResultCache
from tools.vocabulary import Held
from tools.vocabulary import Vocabulary

pytestmark = pytest.mark.anyio


class Wordy:
    """A source of which only names and words are asked. `words` of None: reading them never ends."""

    kind = "duckdb"
    scope = ""
    origin = "made up"

    def __init__(self, words: str | None = "zebra", name: str = "wordy") -> None:
        self.name = name
        self.words = words
        self.state = "1"
        self.read = 0

    async def schemas(self) -> tuple[Schema, ...]:
        return (Schema(source=self.name, name="things", rows=3, attributes=1, origin=""),)

    async def attributes(self, schema: str) -> tuple[Attribute, ...]:
        raise SourceUnreachable(schema)

    async def fingerprint(self, schema: str | None = None) -> str:
        return self.state if schema is None else f"{self.state} {schema}"

    async def vocabulary(self, schema: str) -> tuple[AttributeWords, ...]:
        self.read += 1
        if self.words is None:
            await asyncio.Event().wait()
        if self.words == "gone":
            raise SourceUnreachable(schema)
        return (AttributeWords(attribute="label", values=(str(self.words),)),)

    async def describe(
        self, schema: str, attributes: Sequence[str], *, exact: bool, within_s: float, progress: Progress = silent
    ) -> Description:
        raise SourceUnreachable(f"{schema} {attributes} {exact} {within_s} {progress}")

    async def profile(
        self, schema: str, attribute: str, *, top: int, within_s: float, progress: Progress = silent
    ) -> Profile:
        raise SourceUnreachable(f"{schema} {attribute} {top} {within_s} {progress}")

    async def query(
        self, text: str, *, limit: int, offset: int = 0, within_s: float, progress: Progress = silent
    ) -> Table:
        raise SourceUnreachable(f"{text} {limit} {offset} {within_s} {progress}")


def held(source: Wordy, *, own: bool = False, label: str = "label") -> Held:
    schema = Schema(source=source.name, name="things", rows=3, attributes=1, origin="")
    return Held(source=source, schema=schema, attributes=(Attribute(name=label, type="VARCHAR"),), own=own)


@pytest.fixture
def cache() -> ResultCache:
    return ResultCache(clock=lambda: 0.0)


async def finds(vocabulary: Vocabulary, cache: ResultCache, each: Held, word: str, patience_s: float = 5.0) -> bool:
    return (await vocabulary.index([each], cache, patience_s=patience_s)).scores(word)[0] > 0


async def test_words_that_never_come_hold_nothing_up_and_names_still_count(cache: ResultCache) -> None:
    vocabulary = Vocabulary()
    source = Wordy(words=None)
    async with asyncio.timeout(5):
        assert await finds(vocabulary, cache, held(source), "label", patience_s=0.01)
        assert not await finds(vocabulary, cache, held(source), "zebra", patience_s=0.01)
        await vocabulary.aclose()
    assert source.read == 1


async def test_words_are_read_once_for_each_state_of_the_source(cache: ResultCache) -> None:
    vocabulary = Vocabulary()
    source = Wordy()
    for _ in range(3):
        assert await finds(vocabulary, cache, held(source), "zebra")
        await vocabulary.settled()
    assert source.read == 1
    source.state, source.words = "2", "giraffe"
    await vocabulary.index([held(source)], cache)
    await vocabulary.settled()
    assert await finds(vocabulary, cache, held(source), "giraffe")
    assert not await finds(vocabulary, cache, held(source), "zebra")
    assert source.read == 2


async def test_words_that_are_kept_as_results_are_not_asked_for_again(cache: ResultCache) -> None:
    source = Wordy()
    for _ in range(2):
        assert await finds(Vocabulary(), cache, held(source), "zebra")
    assert source.read == 1
    assert cache.invalidate(tags=["source:wordy"]) == 1


async def test_a_schema_that_cannot_be_read_is_ranked_by_its_names(cache: ResultCache) -> None:
    assert await finds(Vocabulary(), cache, held(Wordy(words="gone")), "label")


async def test_nothing_of_ones_own_history_is_read_or_kept(cache: ResultCache) -> None:
    vocabulary = Vocabulary()
    source = Wordy()
    assert not await finds(vocabulary, cache, held(source, own=True), "zebra")
    assert await finds(vocabulary, cache, held(source, own=True), "label")
    assert source.read == 0


async def test_an_index_is_made_once_as_long_as_nothing_changes(cache: ResultCache) -> None:
    vocabulary = Vocabulary()
    source, other = Wordy(), Wordy(name="other")
    first = await vocabulary.index([held(source), held(other)], cache, patience_s=5.0)
    assert await vocabulary.index([held(source), held(other)], cache) is first
    renamed = await vocabulary.index([held(source, label="title"), held(other)], cache)
    assert renamed is not first
    assert renamed.scores("title")[0] > 0


async def test_attributes_are_relevant_by_name_and_by_what_they_hold(cache: ResultCache) -> None:
    vocabulary = Vocabulary()
    source = Wordy()
    assert vocabulary.relevant(source, "things", ["label", "size"], "zebra") == []
    await vocabulary.index([held(source)], cache, patience_s=5.0)
    assert vocabulary.relevant(source, "things", ["label", "size"], "zebra") == ["label"]
    assert vocabulary.relevant(source, "things", ["label", "size"], "size of labels") == ["label", "size"]
    assert len(vocabulary.relevant(source, "things", [f"size_{n}" for n in range(30)], "size")) == 8
