"""Everything that is sent is valid GraphQL, and valid for the public schema of NerdGraph where that is at hand."""

from pathlib import Path

import pytest
from graphql import GraphQLSchema
from graphql import OperationDefinitionNode
from graphql import OperationType
from graphql import build_schema
from graphql import parse
from graphql import validate

from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.texts import Selection
from sources.newrelic.texts import batch_text
from sources.newrelic.texts import every_text

_SCHEMA = Path(__file__).parents[3] / "shared" / "nerdgraph" / "schema.graphql"


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    if not _SCHEMA.exists():
        pytest.skip("the public schema of NerdGraph is not at hand")
    return build_schema(_SCHEMA.read_text(encoding="utf-8"), assume_valid=True)


@pytest.mark.parametrize(("name", "text"), list(every_text()), ids=[name for name, _ in every_text()])
def test_every_text_is_one_query(name: str, text: str) -> None:
    (definition,) = parse(text).definitions
    assert isinstance(definition, OperationDefinitionNode)
    assert definition.operation is OperationType.QUERY, name


@pytest.mark.parametrize(("name", "text"), list(every_text()), ids=[name for name, _ in every_text()])
def test_every_text_is_valid_for_new_relic(schema: GraphQLSchema, name: str, text: str) -> None:
    assert validate(schema, parse(text)) == [], name


def test_the_schema_notices_what_new_relic_does_not_have(schema: GraphQLSchema) -> None:
    assert validate(schema, parse('{ actor { account(id: 1) { nrql(query: "") { query } } } }'))


def test_equal_selections_make_equal_texts() -> None:
    selections = [Selection(stats=True, lasting=False)] * BATCH_MOST
    assert batch_text(selections) == batch_text(list(selections))
    assert len(batch_text(selections)) < 10_000
