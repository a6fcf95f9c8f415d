"""How often ranking puts the schemas a question needs into the first three, and how long one ranking takes.

`python bench/relevance_bench.py [--folder FOLDER ...] [--misses] [--write-catalogue FILE] [--json FILE]`. Each folder
is one set of schemas by its name (its Parquet files, read through the real source); without any, the committed
catalogue is used. The questions are those of tests/rules. `--write-catalogue` makes that catalogue from the folders.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from shown import Row  # noqa: E402
from shown import row  # noqa: E402

from sources.duckdb.source import DuckDBSource  # noqa: E402  # a script finds the packages beside its own folder
from sources.protocol import AttributeWords  # noqa: E402
from sources.protocol import Schema  # noqa: E402
from tests.rules.relevance_catalogue import catalogue  # noqa: E402
from tests.rules.relevance_questions import QUESTIONS  # noqa: E402
from tests.rules.relevance_questions import Asked  # noqa: E402
from tools.relevance import Document  # noqa: E402
from tools.relevance import Index  # noqa: E402

FIRST = 3
KEPT_VALUES = 6
KEPT_CHARS = 24


def main() -> None:
    """Measure, print a table, and end with 1 when fewer than 85 % of the written questions are served."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, action="append", default=[])
    parser.add_argument("--misses", action="store_true", help="also print what was not found, held-out questions aside")
    parser.add_argument("--write-catalogue", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    sets = asyncio.run(looked_at(asked.folder)) if asked.folder else catalogue()
    if asked.write_catalogue:
        asked.write_catalogue.write_text(as_json(sets), encoding="utf-8")
    known = [question for question in QUESTIONS if question.of in sets]
    rows: list[Row] = []
    for held_out in (False, True):
        questions = [question for question in known if question.held_out is held_out]
        name = "held out" if held_out else "written"
        share = report(f"{name}, each set alone", questions, {of: Index(sets[of]) for of in sets}, asked.misses)
        least = None if held_out else 85
        rows.append(row(f"{name} questions served by the first {FIRST} schemas", share * 100, "%", least=least))
        pool = Index([document for documents in sets.values() for document in documents])
        report(f"{name}, all sets in one pool", questions, dict.fromkeys(sets, pool), asked.misses)
    timed()
    if asked.json:
        asked.json.write_text(json.dumps(rows), encoding="utf-8")
    sys.exit(not all(each["ok"] for each in rows))


async def looked_at(folders: Sequence[Path]) -> dict[str, tuple[Document, ...]]:
    """The schemas of each folder, with the words in them."""
    found: dict[str, tuple[Document, ...]] = {}
    for folder in folders:
        source = DuckDBSource(paths=tuple(sorted(folder.glob("*.parquet"))), name=folder.name)
        try:
            found[folder.name] = tuple([await document(source, each) for each in await source.schemas()])
        finally:
            await source.aclose()
    return found


async def document(source: DuckDBSource, schema: Schema) -> Document:
    """What ranking knows of a schema."""
    return Document(
        source=source.name,
        name=schema.name,
        attributes=tuple(each.name for each in await source.attributes(schema.name)),
        values=await source.vocabulary(schema.name),
        empty=schema.rows == 0,
    )


def as_json(sets: dict[str, tuple[Document, ...]]) -> str:
    """A small catalogue: every name, and a handful of the values."""
    plain = {
        of: {
            each.name: {
                "empty": each.empty,
                "attributes": list(each.attributes),
                "values": {words.attribute: kept for words in each.values if (kept := few(words))},
            }
            for each in documents
        }
        for of, documents in sets.items()
    }
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def few(words: AttributeWords) -> list[str]:
    """The first values that are words and not marks."""
    return [value for value in words.values if len(value) <= KEPT_CHARS and not set(value) & set("0123456789@{")][
        :KEPT_VALUES
    ]


def report(name: str, questions: Sequence[Asked], indices: dict[str, Index], misses: bool) -> float:  # noqa: FBT001
    """Print one line; the share of questions whose needed schemas all came first."""
    missed = [each for each in questions if not found(each, indices[each.of])]
    share = 1 - len(missed) / len(questions)
    print(
        f"{name:34} {len(questions) - len(missed):3} of {len(questions)} questions ({share:.0%}) in the first {FIRST}"
    )
    for each in missed if misses and not questions[0].held_out else ():
        print(f"    {each.of}: {each.text}\n        needs {each.looked_for}, found {first(each, indices[each.of], 6)}")
    return share


def found(asked: Asked, index: Index) -> bool:
    """Whether all schemas a question needs are among the first."""
    return {(asked.of, name) for name in asked.looked_for} <= set(first(asked, index, FIRST))


def first(asked: Asked, index: Index, most: int) -> list[tuple[str, str]]:
    """The best schemas for a question."""
    scores = index.steered(asked.text)
    places = sorted(range(len(scores)), key=lambda place: (-scores[place], index.documents[place].name.casefold()))
    return [(index.documents[place].source, index.documents[place].name) for place in places[:most]]


def timed() -> None:
    """Time of one ranking of 1,000 schemas with 30 attributes each."""
    nouns = [f"{one}{two}" for one in ("cust", "ord", "pay", "ship", "item") for two in ("alpha", "beta", "gamma")]
    documents = [
        Document(
            source="many",
            name=f"{nouns[place % 15]}_{place}",
            attributes=tuple(f"{nouns[(place + each) % 15]}_{each}_{place % 97}" for each in range(30)),
            values=(AttributeWords(attribute="a", values=tuple(f"word{place} v{each}" for each in range(40))),),
        )
        for place in range(1_000)
    ]
    started_s = time.perf_counter()
    index = Index(documents)
    made_ms = (time.perf_counter() - started_s) * 1_000
    times: list[float] = []
    for asked in QUESTIONS:
        started_s = time.perf_counter()
        index.steered(f"{asked.text} shipalpha payment")
        times.append((time.perf_counter() - started_s) * 1_000)
    times.sort()
    median_ms = times[len(times) // 2]
    print(f"1,000 schemas x 30 attributes: index {made_ms:.0f} ms once; one ranking {median_ms:.1f} ms (median),")
    print(f"    {times[-1]:.1f} ms (longest)")


if __name__ == "__main__":
    main()
