"""Parts of an instant: `hourOf(timestamp)` and its kin, as text or as a number, in the zone of the statement.

Source: docs.newrelic.com, "NRQL: Facet results by time": the formats of text and number, and UTC without WITH TIMEZONE.
"""

from typing import Final

from sources.nrdb.literals import plain_sql
from sources.nrdb.refused import NotTranslated
from sources.nrdb.scope import Scope
from sources.nrdb.scope import Value
from sources.nrdb.values import of_sort
from sources.nrql.tree import Call
from sources.nrql.tree import Name
from sources.nrql.tree import Text

TIMES: Final[dict[str, tuple[str, str | None]]] = {
    "yearof": ("strftime({}, '%Y')", "year({})"),
    "quarterof": ("('Q' || quarter({0}) || ' ' || year({0}))", "quarter({})"),
    "monthof": ("strftime({}, '%B %Y')", "month({})"),
    "weekof": ("strftime(date_trunc('week', {}), 'Week of %B %-d')", None),
    "weekdayof": ("strftime({}, '%A')", "dayofweek({})"),
    "dateof": ("strftime({}, '%B %-d, %Y')", None),
    "dayofmonthof": ("strftime({}, '%-d')", "day({})"),
    "daysinmonthof": ("strftime(last_day({}), '%-d')", "day(last_day({}))"),
    "hourof": ("(hour({}) || ':00')", "hour({})"),
    "minuteof": ("CAST(minute({}) AS VARCHAR)", "minute({})"),
}
"""By function: its text, and its number (None: there is only text)."""


def time_part(call: Call, scope: Scope) -> Value:
    """One of `TIMES`. Raises `NotTranslated`."""
    if len(call.arguments) not in (1, 2):
        raise NotTranslated(f"{call.function}() takes an instant and a format", call.span.start)
    ms = of_sort(call.arguments[0].value, scope, "numeric", f"{call.function}()")
    local = f"epoch_ms(CAST({ms} AS BIGINT))"
    if scope.zone != "UTC":
        local = f"timezone({plain_sql(scope.zone)}, timezone('UTC', {local}))"
    text, number = TIMES[call.function]
    if _format(call) == "string":
        return text.format(local), "string"
    if number is None:
        raise NotTranslated(f"{call.function}() has no numeric format", call.span.start, "Leave out the format.")
    return number.format(local), "numeric"


def _format(call: Call) -> str:
    said = call.arguments[1].value if len(call.arguments) > 1 else None
    match said:
        case None:
            return "string"
        case Name(name=word) | Text(value=word) if word.lower() in ("string", "numeric"):
            return word.lower()
        case _:
            raise NotTranslated(f"the format of {call.function}()", said.span.start, "It is string or numeric.")
