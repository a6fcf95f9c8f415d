"""Everything that is sent is valid GraphQL, and valid for the public schema of NerdGraph where that is at hand."""

from pathlib import Path

import pytest
from graphql import FieldNode
from graphql import GraphQLSchema
from graphql import OperationDefinitionNode
from graphql import OperationType
from graphql import Visitor
from graphql import build_schema
from graphql import parse
from graphql import validate
from graphql import visit

from sources.newrelic.texts import BATCH_MOST
from sources.newrelic.texts import FIELDS_MOST
from sources.newrelic.texts import Selection
from sources.newrelic.texts import batch_fields
from sources.newrelic.texts import batch_text
from sources.newrelic.texts import every_text

_SCHEMA = Path(__file__).parents[3] / "shared" / "nerdgraph" / "schema.graphql"
_ROWS_ONLY = Selection(stats=False, whole=False, lasting=False)


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


@pytest.mark.parametrize("stats", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("lasting", [True, False])
def test_the_fields_of_a_request_are_counted_as_graphql_counts_them(*, stats: bool, whole: bool, lasting: bool) -> None:
    selections = [Selection(stats=stats, whole=whole, lasting=lasting), _ROWS_ONLY]
    seen: list[str] = []

    class Seeing(Visitor):
        def enter_field(self, node: FieldNode, *_where: object) -> None:
            seen.append(node.name.value)

    visit(parse(batch_text(selections)), Seeing())
    assert batch_fields(selections) == len(seen)


@pytest.mark.parametrize("stats", [True, False])
def test_a_full_request_for_rows_or_for_measures_stays_below_what_new_relic_is_said_to_take(*, stats: bool) -> None:
    assert batch_fields([Selection(stats=stats, whole=False, lasting=False)] * BATCH_MOST) <= FIELDS_MOST


def test_equal_selections_make_equal_texts() -> None:
    selections = [Selection(stats=True, whole=True, lasting=False)] * BATCH_MOST
    assert batch_text(selections) == batch_text(list(selections))
    assert len(batch_text(selections)) < 10_000
