"""All tools in the order an assistant meets them, with what each promises about its effects."""

from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass

from tools.answer import Answer
from tools.answer import Rendered
from tools.cache import Cache
from tools.cache import CacheShown
from tools.close_session import CloseSession
from tools.close_session import SessionClosed
from tools.describe_schema import DescribeSchema
from tools.describe_schema import SchemaDescribed
from tools.list_schemas import ListSchemas
from tools.list_schemas import SchemasListed
from tools.next_steps import NextSteps
from tools.next_steps import StepsOffered
from tools.open_session import OpenSession
from tools.open_session import SessionOpened
from tools.ports import Ports
from tools.profile_attribute import AttributeProfiled
from tools.profile_attribute import ProfileAttribute
from tools.recall import Recall
from tools.recall import Recalled
from tools.remember import Remember
from tools.remember import ValueRemembered
from tools.run_query import QueryAnswered
from tools.run_query import RunQuery
from tools.session_history import HistoryShown
from tools.session_history import SessionHistory
from tools.set_goal import GoalsSet
from tools.set_goal import SetGoal

Method = Callable[..., Awaitable[Rendered]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool: its method (whose first argument is the `Call`) and the model of its answer."""

    method: Method
    answer: type[Answer]
    title: str
    reads_only: bool
    """Nothing but the session's own record of what was explored changes."""
    idempotent: bool
    """Calling it twice with the same arguments has the effect of calling it once."""
    destroys: bool = False
    """It can end or drop something."""
    changes_session: bool = False

    @property
    def name(self) -> str:
        return self.method.__name__


def toolbox(ports: Ports, *, query_timeout_most_s: float) -> tuple[Tool, ...]:
    """Every tool over the given ports."""
    run_query = RunQuery(ports=ports, timeout_most_s=query_timeout_most_s).run_query
    return (
        _looking(ListSchemas(ports).list_schemas, SchemasListed, "List schemas"),
        _looking(DescribeSchema(ports).describe_schema, SchemaDescribed, "Describe a schema"),
        _looking(ProfileAttribute(ports).profile_attribute, AttributeProfiled, "Profile an attribute"),
        _looking(run_query, QueryAnswered, "Run a read-only query"),
        _writing(OpenSession(ports).open_session, SessionOpened, "Open a session"),
        _looking(Recall(ports).recall, Recalled, "Recall a session"),
        _writing(Remember(ports).remember, ValueRemembered, "Remember a finding"),
        _writing(SetGoal(ports).set_goal, GoalsSet, "Set a goal", idempotent=True),
        _restoring(SessionHistory(ports).session_history, HistoryShown, "Session history"),
        _looking(NextSteps(ports).next_steps, StepsOffered, "Next steps"),
        _writing(CloseSession(ports).close_session, SessionClosed, "Close a session", destroys=True),
        Tool(method=Cache(ports).cache, answer=CacheShown, title="Result cache", reads_only=False, idempotent=True),
    )


def _looking(method: Method, answer: type[Answer], title: str) -> Tool:
    return Tool(method=method, answer=answer, title=title, reads_only=True, idempotent=True)


def _restoring(method: Method, answer: type[Answer], title: str) -> Tool:
    """It tells by itself when it changed a session: mostly it only looks."""
    return Tool(method=method, answer=answer, title=title, reads_only=False, idempotent=True)


def _writing(
    method: Method, answer: type[Answer], title: str, *, idempotent: bool = False, destroys: bool = False
) -> Tool:
    return Tool(
        method=method,
        answer=answer,
        title=title,
        reads_only=False,
        idempotent=idempotent,
        destroys=destroys,
        changes_session=True,
    )
