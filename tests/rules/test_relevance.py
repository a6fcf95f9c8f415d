"""Names are split into words and ranked by how well they fit a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.names import nearest
from sources.protocol import AttributeWords
from tools.language import name_words
from tools.language import split_glued
from tools.language import stem
from tools.language import words
from tools.links import Named
from tools.links import links
from tools.names import did_you_mean
from tools.relevance import Document
from tools.relevance import Index
from tools.relevance import rank
from tools.relevance import value_words

TABLES = {
    "flights": ("flights", "dep_delay", "arr_delay", "carrier", "tailnum", "origin", "dest"),
    "weather": ("weather", "origin", "temp", "humid", "wind_speed"),
    "planes": ("planes", "tailnum", "manufacturer", "model", "seats"),
    "airlines": ("airlines", "carrier", "name"),
}


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("dep_delay", ["dep", "delay"]),
        ("OrderDetails", ["order", "detail"]),
        ("HTTPServerErrors", ["http", "server", "error"]),
        ("Order Details", ["order", "detail"]),
        ("cities", ["city"]),
        ("status", ["status"]),
        ("address2", ["address", "2"]),
        ("größe", ["grösse"]),
        ("which of the flights", ["flight"]),
        ("", []),
    ],
)
def test_identifiers_become_words(text: str, split: list[str]) -> None:
    assert list(words(text)) == split


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("Which carriers have the worst departure delays?", "flights"),
        ("wind and temperature at the origin", "weather"),
        ("how many seats does each plane model have", "planes"),
        ("name of an airline", "airlines"),
    ],
)
def test_the_table_that_answers_the_question_comes_first(question: str, best: str) -> None:
    scores = rank(question, TABLES)
    assert max(scores, key=lambda name: scores[name]) == best
    assert scores[best] == 1.0


def test_a_question_without_a_shared_word_scores_nothing() -> None:
    assert set(rank("zebra", TABLES).values()) == {0.0}


@given(question=st.text(), documents=st.dictionaries(st.text(), st.lists(st.text()), max_size=8))
def test_scores_stay_between_nothing_and_one(question: str, documents: dict[str, list[str]]) -> None:
    scores = rank(question, documents)
    assert scores.keys() == documents.keys()
    assert all(0.0 <= score <= 1.0 for score in scores.values())


def test_a_wrong_case_or_a_slip_finds_the_name() -> None:
    assert nearest("FLIGHTS", TABLES)[0] == "flights"
    assert nearest("fligths", TABLES)[0] == "flights"
    assert did_you_mean(nearest("fligths", TABLES)).startswith(' Did you mean "flights"')


def test_nothing_alike_suggests_nothing() -> None:
    assert did_you_mean(nearest("xyzzy", TABLES)) == ""


@pytest.mark.parametrize(
    ("forms", "root"),
    [
        ("ship ships shipped shipping shipper shipment", "ship"),
        ("delay delayed delaying", "delay"),
        ("carry carried carrying", "carry"),
        ("arrive arrived arriving", "arriv"),
        ("call called calling", "call"),
    ],
)
def test_inflections_of_a_word_share_a_stem(forms: str, root: str) -> None:
    assert {stem(word) for form in forms.split() for word in name_words(form)} == {root}


@pytest.mark.parametrize(
    "word", ["order", "speed", "string", "department", "number", "bus", "late", "comment", "größe"]
)
def test_endings_that_belong_to_the_word_stay(word: str) -> None:
    assert stem(word) in {word, word.removesuffix("e") if len(word) > 4 else word}


@pytest.mark.parametrize(("plural", "one"), [("boxes", "box"), ("addresses", "address"), ("people", "person")])
def test_plurals_become_one(plural: str, one: str) -> None:
    assert name_words(plural) == (one,)


def test_a_glued_name_is_split_only_where_there_is_one_way_to_read_it() -> None:
    known = frozenset({"film", "category", "tail", "num", "the", "rapist", "therapist", "ther", "apist"})
    assert split_glued("filmcategory", known) == ("film", "category")
    assert split_glued("tailnum", known) == ("tail", "num")
    assert split_glued("therapist", known) == ()
    assert split_glued("filmstar", known) == ()


def scores(question: str, *documents: Document) -> list[float]:
    return Index(documents).scores(question)


def document(name: str, *attributes: str, values: tuple[str, ...] = (), empty: bool = False) -> Document:
    words_of = (AttributeWords(attribute=attributes[0], values=values),) if values else ()
    return Document(source="s", name=name, attributes=attributes, values=words_of, empty=empty)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("quantity", "qty"),
        ("qty", "quantity"),
        ("destinations", "dest"),
        ("customer address", "cust_addr"),
        ("clients", "customer_id"),
        ("which were late", "dep_delay"),
        ("shipments", "shipped_at"),
        ("tail number", "tailnum"),
        ("time zone", "tz"),
        ("film categories", "filmcategory"),
    ],
)
def test_a_question_meets_names_that_say_it_in_another_way(question: str, name: str) -> None:
    others = (document("film"), document("category"), document("tail"))
    found, *_ = scores(question, document("t", name), *others)
    assert found > 0


def test_what_a_word_says_exactly_counts_more_than_what_is_like_it() -> None:
    exact, abbreviated, alike, begun = scores(
        "customer",
        document("a", "customer"),
        document("b", "cust"),
        document("c", "client"),
        document("d", "customership"),
    )
    assert exact > abbreviated > alike > begun > 0


def test_a_name_counts_more_than_an_attribute_and_that_more_than_a_value() -> None:
    name, attribute, value, nothing = scores(
        "coffee",
        document("coffee", "x"),
        document("b", "coffee"),
        document("c", "x", values=("Coffee",)),
        document("d"),
    )
    assert name > attribute > value > nothing == 0


def test_words_of_like_meaning_do_not_reach_into_values() -> None:
    assert scores("client", document("a", "x", values=("customer",))) == [0.0]


def test_marks_of_machines_are_no_words() -> None:
    assert value_words("ts-travel-service-64469b5b48-25zj6") == ("ts", "travel", "service")


def test_among_the_best_each_adds_what_the_others_lack() -> None:
    alike = (document("customers", "customer_name"), document("customer_types", "customer_type"))
    index = Index([*alike, document("orders", "amount"), document("x"), document("y"), document("z")])
    plain, steered = index.scores("revenue by customer"), index.steered("revenue by customer")
    assert plain[0] > plain[1] > plain[2] > 0
    assert steered[0] > steered[2] > steered[1] > 0


def test_a_schema_without_rows_comes_after_one_with_rows() -> None:
    full, empty = Index([document("film", "title"), document("film", "title", empty=True)]).steered("film")
    assert full > empty > 0


def test_ids_lead_to_their_owner_and_to_those_that_share_them() -> None:
    def named(source: str, name: str, *attributes: str) -> Named:
        return Named(source=source, name=name_words(name), attributes=tuple(map(name_words, attributes)))

    schemas = [
        named("s", "Customers", "CustomerID", "name"),
        named("s", "orders", "order_id", "customer_id", "manager_staff_id"),
        named("s", "staff", "staff_id"),
        named("s", "spans", "TraceID", "id"),
        named("s", "logs", "trace_id", "id"),
        named("other", "orders", "customer_id"),
    ]
    assert links(schemas) == {0: {1}, 1: {0, 2}, 2: {1}, 3: {4}, 4: {3}}


def test_a_schema_that_ids_lead_to_gets_a_share() -> None:
    lonely = Index([document("orders", "amount"), document("clients_x", "size"), document("z", "q")])
    linked = Index([document("orders", "amount", "z_id"), document("clients_x", "size"), document("z", "q")])
    assert lonely.steered("amount of orders")[2] == 0
    assert 0 < linked.steered("amount of orders")[2] < linked.steered("amount of orders")[0]


def test_a_source_that_meets_more_of_the_question_comes_first() -> None:
    index = Index(
        [
            Document(source="a", name="city", attributes=("city_id",)),
            Document(source="b", name="places", attributes=("city",)),
            Document(source="b", name="departments", attributes=("department",)),
            Document(source="b", name="employees", attributes=("salary",)),
        ]
    )
    found = index.steered("salary of employees by department and city")
    assert found[1] > found[0]


@given(question=st.text(), documents=st.dictionaries(st.text(), st.lists(st.text()), max_size=8))
def test_steering_neither_invents_nor_loses_numbers(question: str, documents: dict[str, list[str]]) -> None:
    index = Index([Document(source="s", name=name, attributes=tuple(inside)) for name, inside in documents.items()])
    found = index.steered(question)
    assert len(found) == len(documents)
    assert all(0.0 <= score < float("inf") for score in found)
