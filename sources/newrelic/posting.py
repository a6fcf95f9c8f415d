"""One request over the network: JSON out, JSON in, bounded, and every way it can fail as a `Setback`.

The key travels in one header to one address; redirects are not followed.
"""

import json
import re
from collections.abc import Callable
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from typing import Final
from typing import NoReturn
from typing import cast

import httpx

from sources.newrelic.faults import GraphError
from sources.newrelic.faults import Kind
from sources.newrelic.faults import Setback
from sources.newrelic.faults import Trouble
from sources.newrelic.faults import graph_errors
from sources.newrelic.redaction import Secret
from sources.newrelic.regions import Endpoint

ANSWER_BYTES: Final = 64 * 2**20
_ERROR_BYTES: Final = 64 * 2**10
_CONNECT_S: Final = 5.0
_IDLE_S: Final = 60.0
_AT_ONCE: Final = 25
_RETRY_AFTER_MOST_S: Final = 3_600.0

_TOO_MANY: Final = 429
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""Written so, a character may be there by half only."""
_PASSING: Final = {_TOO_MANY, 500}
_BROKEN_FROM: Final = 502
_PERMANENT: Final[dict[int, Kind]] = {401: "key", 402: "unpaid", 403: "denied", 413: "wide"}


class Posting:
    """Posts to one endpoint. The connections are opened by the first request, in the loop that asks it."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        key: Secret,
        transport: httpx.AsyncBaseTransport | None,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._transport = transport
        self._answer_bytes = answer_bytes
        self._client: httpx.AsyncClient | None = None

    async def post(
        self,
        text: str,
        variables: Mapping[str, object],
        *,
        within_s: float,
        answering: Callable[[], None],
    ) -> Mapping[str, Any]:
        """The body of the answer. `answering` is called when the first of it has come. Raises `Setback`.

        Only connecting is bounded here, by half of `within_s`; whoever waits gives up on the rest.
        """
        content = json.dumps({"query": text, "variables": variables}, ensure_ascii=False).encode()
        headers = {"Api-Key": self._key.reveal(), "Content-Type": "application/json", "User-Agent": "uds-mcp"}
        timeout = httpx.Timeout(None, connect=max(0.05, min(_CONNECT_S, within_s / 2)))
        client = self._opened()
        try:
            request = client.build_request(
                "POST", self._endpoint.url, content=content, headers=headers, timeout=timeout
            )
            response = await client.send(request, stream=True, follow_redirects=False)
            try:
                answering()
                return _checked(response, await self._read(response))
            finally:
                await response.aclose()
        except httpx.RequestError as fault:
            raise Setback(Trouble(kind="network", message=_told(fault))) from None

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            # HTTP/1.1 on purpose: over HTTP/2 httpcore 1.0.9 tells nobody of a request that is given up. New Relic
            # would go on working, and what it still sends fills the connection's window until all others stand still.
            self._client = httpx.AsyncClient(
                http2=False,
                trust_env=self._endpoint.url.startswith("https:"),  # plain http goes to this machine, not to a proxy
                transport=self._transport,
                limits=httpx.Limits(
                    max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE, keepalive_expiry=_IDLE_S
                ),
            )
        return self._client

    async def _read(self, response: httpx.Response) -> bytes:
        """All of the body; counted as it is unpacked, because what is small on the way may be large here."""
        most = self._answer_bytes if response.is_success else _ERROR_BYTES
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > most and response.is_success:
                raise Setback(Trouble(kind="large", message=f"the answer is over {most / 2**20:g} MiB"))
            if len(body) > most:
                break
        return bytes(body)


def _checked(response: httpx.Response, body: bytes) -> Mapping[str, Any]:
    """The answer as an object. Raises `Setback` for everything that is none."""
    if not response.is_success:
        _refuse(response, body)
    answer = _parsed(body)
    if answer is None:
        raise Setback(Trouble(kind="network", message=_unreadable(body)))
    if "data" not in answer and not graph_errors(answer):
        raise Setback(Trouble(kind="network", message="the answer holds neither rows nor a reason"))
    return answer


def _refuse(response: httpx.Response, body: bytes) -> NoReturn:
    """Raise for a status that is no success; what the body says about region, account or key counts first."""
    status = response.status_code
    errors = graph_errors(_parsed(body) or {})
    told = errors[0].message if errors else f"HTTP status {status}"
    if status in _PASSING or status >= _BROKEN_FROM:
        kind = "rate" if status == _TOO_MANY else "broken"
        raise Setback(Trouble(kind=kind, message=told, retry_after_s=_retry_after_s(response.headers)))
    if named := _named(errors):
        raise Setback(named)
    if status in _PERMANENT:
        raise Setback(Trouble(kind=_PERMANENT[status], message=told))
    raise Setback(Trouble(kind="rejected" if errors else "elsewhere", message=told))


def _named(errors: tuple[GraphError, ...]) -> Trouble | None:
    kinds = {"region", "account", "key", "unpaid", "syntax", "bounds", "wide"}
    return next((error.trouble for error in errors if error.trouble.kind in kinds), None)


def _parsed(body: bytes) -> Mapping[str, Any] | None:
    """None: it is no JSON object. Integers are exact, whatever their size."""
    try:
        answer: object = json.loads(body)
        if _HALF.search(body):
            answer = _encodable(answer)
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, Any]", answer) if isinstance(answer, dict) else None


def _encodable(value: object) -> object:
    """With a question mark for each half of a character, which JSON can hold and no answer of ours could."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [_encodable(each) for each in cast("list[object]", value)]
        case dict():
            items = cast("dict[str, object]", value).items()
            return {key.encode(errors="replace").decode(): _encodable(each) for key, each in items}
        case _:
            return value


def _unreadable(body: bytes) -> str:
    if not body.strip():
        return "an empty body"
    if body.lstrip()[:1] == b"<":
        return "a web page, as a proxy or a maintenance notice would be"
    return f"{len(body)} bytes that are no whole JSON object"


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds, or a date measured against the date of the answer itself. None: not said, or not readable."""
    told = headers.get("Retry-After", "").strip()
    try:
        wait_s = float(told) if told.replace(".", "", 1).isdecimal() else _until_s(told, headers["Date"])
    except (ValueError, KeyError, TypeError):
        return None
    return min(max(0.0, wait_s), _RETRY_AFTER_MOST_S)


def _until_s(then: str, now: str) -> float:
    return (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds()


def _told(fault: httpx.RequestError) -> str:
    """The kind of fault, and the system's own words for it where it has some."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in type(fault).__name__).strip()
    return f"{words}: {fault}" if str(fault) else words
