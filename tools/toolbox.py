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
from tools.set_goal import GoalsSet
from tools.set_goal import SetGoal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool: its method (whose first argument is the `Call`) and the model of its answer."""

    method: Callable[..., Awaitable[Rendered]]
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
    return (
        _looking(ListSchemas(ports).list_schemas, SchemasListed, "List schemas"),
        _looking(DescribeSchema(ports).describe_schema, SchemaDescribed, "Describe a schema"),
        _looking(ProfileAttribute(ports).profile_attribute, AttributeProfiled, "Profile an attribute"),
        _looking(
            RunQuery(ports=ports, timeout_most_s=query_timeout_most_s).run_query, QueryAnswered, "Run a read-only query"
        ),
        Tool(
            method=OpenSession(ports).open_session,
            answer=SessionOpened,
            title="Open a session",
            reads_only=False,
            idempotent=False,
            changes_session=True,
        ),
        _looking(Recall(ports).recall, Recalled, "Recall a session"),
        Tool(
            method=Remember(ports).remember,
            answer=ValueRemembered,
            title="Remember a finding",
            reads_only=False,
            idempotent=False,
            changes_session=True,
        ),
        Tool(
            method=SetGoal(ports).set_goal,
            answer=GoalsSet,
            title="Set a goal",
            reads_only=False,
            idempotent=True,
            changes_session=True,
        ),
        Tool(
            method=CloseSession(ports).close_session,
            answer=SessionClosed,
            title="Close a session",
            reads_only=False,
            idempotent=False,
            destroys=True,
            changes_session=True,
        ),
        Tool(
            method=Cache(ports).cache,
            answer=CacheShown,
            title="Result cache",
            reads_only=False,
            idempotent=True,
        ),
    )


def _looking(method: Callable[..., Awaitable[Rendered]], answer: type[Answer], title: str) -> Tool:
    return Tool(method=method, answer=answer, title=title, reads_only=True, idempotent=True)
