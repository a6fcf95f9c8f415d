"""The agent of New Relic APM: the only file that knows it. Read where it is wanted, and never otherwise.

It reads its own NEW_RELIC_* variables and file. What it must never send is switched off here, whatever those say.
"""

import configparser
import importlib
import logging
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextlib import contextmanager
from typing import Any
from typing import Final

import newrelic.agent  # pyright: ignore[reportMissingTypeStubs]
from newrelic.api.exceptions import ConfigurationError  # pyright: ignore[reportMissingTypeStubs]
from newrelic.core import trace_cache  # pyright: ignore[reportMissingTypeStubs]

_log = logging.getLogger(__name__)
_nr: Any = newrelic.agent
_traces: Any = trace_cache

_GROUP: Final = "MCP"
_NAME: Final = "uds-mcp"
_UNNAMED: Final = "Python Application"
_OVER: Final = 10
"""A transaction of the web server gets names of lower priority from the agent's own instrumentation."""
_END_WITHIN_S: Final = 1.0
_NEVER_SENT: Final = ("request.parameters.*", "request.headers.referer", "message.parameters.*")


def start() -> "NewRelicAgent | None":
    """Start it for this process, without waiting for anybody. None: its own settings say that it is not to run."""
    settings = _nr.global_settings()
    try:
        _nr.initialize()  # a log of its own on standard output comes out on standard error, where that is the wire
    except (OSError, ValueError, ConfigurationError, configparser.Error) as fault:
        _log.warning("the APM agent cannot be started: %s", fault)
        return None
    if not settings.enabled or not (settings.developer_mode or settings.license_key):
        _log.warning("the APM agent does not run: NEW_RELIC_LICENSE_KEY is not set, or monitoring is switched off")
        return None
    if settings.log_file is None:
        # By itself it says nothing anywhere, so that a licence which is refused would never be noticed.
        logging.getLogger("newrelic").propagate = True
    _keep_private(settings)
    _leave_sqlite_alone()
    if settings.app_name == _UNNAMED:
        settings.app_name = _NAME
    return NewRelicAgent(_nr.register_application(name=settings.app_name, timeout=0.0))


def _keep_private(settings: Any) -> None:
    """Texts of errors, of log lines and of statements may hold values and handles, so none of them is sent."""
    settings.strip_exception_messages.enabled = True
    settings.strip_exception_messages.allowlist = []
    settings.application_logging.forwarding.enabled = False
    settings.ai_monitoring.enabled = False  # it names tools as clients do, also those there are none of
    settings.transaction_tracer.record_sql = "off"
    settings.slow_sql.enabled = False
    settings.capture_params = False
    settings.browser_monitoring.enabled = False  # there are no pages to put anything into
    settings.attributes.exclude = {*settings.attributes.exclude, *_NEVER_SENT}


def _leave_sqlite_alone() -> None:
    """The agent's connections are no real ones: SQLite refuses to copy a file into them, and each statement costs more.

    Journals are watched as a whole instead.
    """
    for name in ("sqlite3.dbapi2", "sqlite3"):
        module = importlib.import_module(name)
        vars(module)["connect"] = getattr(module.connect, "__wrapped__", module.connect)


class NewRelicAgent:
    """Implements `Agent`."""

    def __init__(self, application: Any) -> None:
        self._application = application

    @contextmanager
    def transaction(self, name: str) -> Generator[None]:
        if _alive() is not None:
            self.named(name)
            yield
            return
        _traces.trace_cache().prepare_for_root()  # a task inherits the transaction that was current where it began
        task = _nr.BackgroundTask(self._application, name=name, group=_GROUP)
        task.__enter__()
        try:
            yield
        finally:
            task.__exit__(None, None, None)  # what went wrong has been told with its code, or is no fault of ours

    def named(self, name: str) -> None:
        _nr.set_transaction_name(name, group=_GROUP, priority=_OVER)

    def left_out(self) -> None:
        _nr.ignore_transaction()

    def told(self, facts: Mapping[str, str | int | float | bool]) -> None:
        _nr.add_custom_attributes([(f"uds.{name}", fact) for name, fact in facts.items()])

    def failed(self, fault: BaseException, code: str, *, expected: bool) -> None:
        told = (type(fault), fault, fault.__traceback__)
        _nr.notice_error(told, attributes={"uds.error_code": code}, expected=expected)

    def segment(self, product: str, operation: str) -> AbstractContextManager[object]:
        return _nr.DatastoreTrace(product, None, operation)

    def happened(self, kind: str, facts: Mapping[str, str | int | float | bool]) -> None:
        self._application.record_custom_event(kind, dict(facts))

    def counted(self, metrics: Iterable[tuple[str, Mapping[str, float]]]) -> None:
        self._application.record_custom_metrics([(name, dict(value)) for name, value in metrics])

    def end(self) -> None:
        _nr.shutdown_agent(timeout=_END_WITHIN_S)


def _alive() -> Any:
    """The transaction of the request that this task answers. None: there is none, or it is not to be told of."""
    transaction = _nr.current_transaction()
    if transaction is None or not transaction.enabled or transaction.root_span.exited:
        return None
    return transaction
