"""The words in a schema: distinct short values of its text attributes, from its first rows only."""

from collections.abc import Sequence
from typing import Final

from sources.duckdb.describe_shown import cut
from sources.duckdb.mount_quoting import quoted
from sources.duckdb.source_catalogue import Known
from sources.duckdb.source_inquiry import Inquiry
from sources.errors import QueryTimeout
from sources.protocol import Attribute
from sources.protocol import AttributeWords

WITHIN_S: Final = 1.0
ROWS: Final = 3_000
"""Rows looked at: a few milliseconds in any format, and enough to meet every value of a category."""
VALUES: Final = 40
"""Values kept of each attribute, the most frequent ones."""
ATTRIBUTES: Final = 60
"""Text attributes looked at, in the order of the schema."""
_LONGEST: Final = 40
"""Characters: longer texts are prose, whose words say little about what an attribute is for."""


async def vocabulary(inquiry: Inquiry, known: Known) -> tuple[AttributeWords, ...]:
    """The words of a schema; nothing when its first rows cannot be read in time."""
    texts = [each for each in known.attributes if each.type == "VARCHAR" or each.type.startswith("ENUM")][:ATTRIBUTES]
    if not texts:
        return ()
    try:
        rows = await inquiry.rows(_asked(known.schema.name, texts), limit=ATTRIBUTES * VALUES)
    except QueryTimeout:
        return ()
    found: dict[str, list[str]] = {}
    for place, value in rows:
        found.setdefault(texts[int(str(place))].name, []).append(" ".join(cut(str(value)).split()))
    return tuple(AttributeWords(attribute=name, values=tuple(values)) for name, values in found.items())


def _asked(schema: str, texts: Sequence[Attribute]) -> str:
    """One scan of the first rows. Attributes are numbered, since their names could be those of the query itself."""
    columns = ", ".join(f'{quoted(each.name)}::VARCHAR AS "{place}"' for place, each in enumerate(texts))
    return (
        f"WITH seen AS MATERIALIZED (SELECT {columns} FROM {quoted(schema)} LIMIT {ROWS}), "
        "each AS (SELECT place, trim(value) AS value FROM (UNPIVOT seen ON COLUMNS(*) INTO NAME place VALUE value)) "
        f"SELECT place, value FROM each WHERE length(value) BETWEEN 2 AND {_LONGEST} "
        r"AND regexp_matches(value, '\p{L}') GROUP BY place, value "
        f"QUALIFY row_number() OVER (PARTITION BY place ORDER BY count(*) DESC, value) <= {VALUES} "
        "ORDER BY place::INTEGER, count(*) DESC, value"
    )
