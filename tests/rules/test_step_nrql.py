"""First statements for New Relic: whatever the names are, they read."""

import pytest

from sources.nrql.parse import parse
from sources.nrql.text import printed
from tools.step_nrql import first_nrql
from tools.step_queries import Matched


@pytest.mark.parametrize("schema", ["Transaction", "Order", "Limit", "odd name", "Metric/queue.size", "Metric/it's"])
@pytest.mark.parametrize("attribute", ["duration", "since", "a-b", "http.status"])
def test_names_that_are_words_of_the_language_or_odd_are_quoted(schema: str, attribute: str) -> None:
    types = {attribute: "numeric", "from": "string", "name": "string"}
    matched = Matched(schema=schema, types=types, attributes=(attribute, "from"), values={"name": "it's"})
    text = first_nrql(matched, "which is slowest")
    assert text is not None
    assert "FACET `from`" in text
    assert printed(parse(text))
