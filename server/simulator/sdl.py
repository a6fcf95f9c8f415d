"""The part of NerdGraph's schema that UDS speaks, in words of our own, and the schema that is built of it.

Source: types, arguments and what may be null follow the public schema as published in alanhoff/newrelic-mcp@030b44f;
a test compares them where that file is at hand.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any
from typing import Final

from graphql import GraphQLArgument
from graphql import GraphQLError
from graphql import GraphQLInputField
from graphql import GraphQLInputObjectType
from graphql import GraphQLInt
from graphql import GraphQLInterfaceType
from graphql import GraphQLList
from graphql import GraphQLNonNull
from graphql import GraphQLObjectType
from graphql import GraphQLScalarType
from graphql import GraphQLSchema
from graphql import IntValueNode
from graphql import ValueNode
from graphql import build_schema

_WHOLE_MOST: Final = 2**53 - 1

SDL: Final = """
schema { query: RootQueryType }

scalar DateTime
scalar EntityGuid
scalar EpochMilliseconds
"A row of an answer: whatever the statement made it."
scalar NrdbResult
scalar NrdbRawResults
"The text of a statement."
scalar Nrql
"A duration."
scalar Seconds

type RootQueryType { actor: Actor docs: DocumentationFields }

"Whoever the key belongs to."
type Actor {
  user: User
  account(id: Int!): Account
  accounts(scope: RegionScope): [AccountOutline]
  nrql(
    accounts: [Int!]!, async: Boolean, options: NrqlQueryOptions, query: Nrql!, timeout: Seconds
  ): CrossAccountNrdbResultContainer
  nrqlQueryProgress(accounts: [Int!]!, queryId: ID!): CrossAccountNrdbResultContainer
  entitySearch(
    options: EntitySearchOptions, query: String, sortBy: [EntitySearchSortCriteria]
  ): EntitySearch
  queryHistory: QueryHistoryActorStitchedFields
}

type User { id: Int name: String email: String }

enum RegionScope { GLOBAL IN_REGION }

type Account {
  id: Int
  name: String
  nrql(async: Boolean, options: NrqlQueryOptions, query: Nrql!, timeout: Seconds): NrdbResultContainer
  nrqlQueryProgress(queryId: ID!): NrdbResultContainer
}

type AccountOutline {
  id: Int
  name: String
  reportingEventTypes(filter: [String], timeWindow: TimeWindowInput): [String]
}

input TimeWindowInput { startTime: EpochMilliseconds! endTime: EpochMilliseconds! }
input NrqlQueryOptions { eventNamespaces: [String!] }

type NrdbResultContainer {
  results: [NrdbResult]
  currentResults: [NrdbResult]
  previousResults: [NrdbResult]
  otherResult: NrdbResult
  totalResult: NrdbResult
  rawResponse: NrdbRawResults
  metadata: NrdbMetadata
  queryProgress: NrdbQueryProgress
  nrql: Nrql
}

type CrossAccountNrdbResultContainer {
  results: [NrdbResult]
  currentResults: [NrdbResult]
  previousResults: [NrdbResult]
  otherResult: NrdbResult
  totalResult: NrdbResult
  rawResponse: NrdbRawResults
  metadata: NrdbMetadata
  queryProgress: NrdbQueryProgress
  nrql: Nrql
}

type NrdbMetadata { eventTypes: [String] facets: [String] messages: [String] timeWindow: NrdbMetadataTimeWindow }

type NrdbMetadataTimeWindow {
  begin: EpochMilliseconds
  end: EpochMilliseconds
  since: String
  until: String
  compareWith: String
}

"Of a statement that goes on in the background."
type NrdbQueryProgress {
  completed: Boolean
  queryId: ID
  retryAfter: Seconds
  retryDeadline: Seconds
  resultExpiration: Seconds
}

enum EntitySearchSortCriteria { ALERT_SEVERITY DOMAIN MOST_RELEVANT NAME REPORTING TYPE }
input EntitySearchOptions { caseSensitiveTagMatching: Boolean limit: Int tagFilter: [String!] }
type EntitySearch { count: Int query: String types: [EntitySearchTypes] results(cursor: String): EntitySearchResult }
type EntitySearchTypes { count: Int domain: String type: String }
type EntitySearchResult { entities: [EntityOutline] nextCursor: String }

interface EntityOutline {
  account: AccountOutline
  accountId: Int
  domain: String
  guid: EntityGuid
  name: String
  reporting: Boolean
  tags: [EntityTag]
  type: String
}

type GenericEntityOutline implements EntityOutline {
  account: AccountOutline
  accountId: Int
  domain: String
  guid: EntityGuid
  name: String
  reporting: Boolean
  tags: [EntityTag]
  type: String
}

type EntityTag { key: String values: [String] }

type QueryHistoryActorStitchedFields {
  nrql(options: QueryHistoryQueryHistoryOptionsInput): [QueryHistoryNrqlHistoryResult!]
}

input QueryHistoryQueryHistoryOptionsInput { limit: Int }
type QueryHistoryNrqlHistoryResult { accountIds: [Int!] createdAt: DateTime query: Nrql }

type DocumentationFields { dataDictionary: DataDictionaryDocsStitchedFields }
type DataDictionaryDocsStitchedFields { events(names: [String]): [DataDictionaryEvent!] }

type DataDictionaryEvent {
  attributes: [DataDictionaryAttribute!]!
  dataSources: [DataDictionaryDataSource!]!
  definition(format: DataDictionaryTextFormat = PLAIN): String
  name: String!
}

type DataDictionaryAttribute {
  definition(format: DataDictionaryTextFormat = PLAIN): String!
  docsUrl: String
  events: [String!]!
  name: String!
  units: DataDictionaryUnit
}

type DataDictionaryUnit { label: String! }
type DataDictionaryDataSource { name: String! }
enum DataDictionaryTextFormat { HTML MARKDOWN PLAIN }
"""


@cache
def schema() -> GraphQLSchema:
    """The schema, built once. Its Int reaches 2**53 - 1, as ids of accounts may."""
    built = build_schema(SDL)
    built.type_map["Int"] = _WIDE
    for named in built.type_map.values():
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            for each in named.fields.values():
                each.type = _widened(each.type)
                _widen(each.args)
        elif isinstance(named, GraphQLInputObjectType):
            _widen(named.fields)
    return built


def _widen(inputs: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField]) -> None:
    for each in inputs.values():
        each.type = _widened(each.type)  # pyright: ignore[reportUnknownMemberType] - of any type


def _widened(kind: Any) -> Any:
    match kind:
        case GraphQLNonNull():
            return GraphQLNonNull(_widened(kind.of_type))  # pyright: ignore[reportUnknownMemberType] - of any type
        case GraphQLList():
            return GraphQLList(_widened(kind.of_type))  # pyright: ignore[reportUnknownMemberType]
        case _:
            return _WIDE if kind is GraphQLInt else kind


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _WHOLE_MOST:
        raise GraphQLError(f"Int cannot represent {str(value)[:50]}")
    return value


def _whole_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> int:
    if not isinstance(node, IntValueNode):
        raise GraphQLError("Int cannot represent a value that is no whole number", node)
    return _whole(int(node.value))


_WIDE: Final = GraphQLScalarType("WideInt", serialize=_whole, parse_value=_whole, parse_literal=_whole_literal)
_WIDE.name = "Int"  # the library refuses a second type of that name, not one that is renamed
