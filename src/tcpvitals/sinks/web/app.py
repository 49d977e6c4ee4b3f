"""What every request goes through before it gets a page: fixed routes, GET and HEAD, our own names.

The pages are given: a path, and the coroutine that answers it.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tcpvitals.model.printable import printable
from tcpvitals.sinks.web.bodies import Bodies, Reader
from tcpvitals.sinks.web.limits import PIECE_BYTES
from tcpvitals.sinks.web.ratelimit import TokenBucket
from tcpvitals.sinks.web.users import PasswordChecks, Verdict, read_credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Message, Receive, Scope, Send

    from tcpvitals.sinks.web.hosts import AllowedHosts
    from tcpvitals.sinks.web.limits import Limits
    from tcpvitals.sinks.web.reloading import WebConfigFile

Page: TypeAlias = "Callable[[Request], Awaitable[Response]]"

# A page with a style sheet of its own in it answers with the second one.
CONTENT_SECURITY: Final = "default-src 'none'; frame-ancestors 'none'"
CONTENT_SECURITY_WITH_STYLE: Final = f"{CONTENT_SECURITY}; style-src 'unsafe-inline'"
_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_METHODS: Final = ("GET", "HEAD")


class Client(Reader, Protocol):
    """The connection that a request came on."""

    @property
    def is_gone(self) -> bool:
        """Whether it takes nothing any more."""

    def vouch(self) -> None:
        """Note that it is given a page."""


class App:
    """The ASGI application."""

    def __init__(
        self,
        pages: Mapping[str, Page],
        hosts: AllowedHosts,
        limits: Limits,
        *,
        web: WebConfigFile | None,
        report: Callable[[str], None],
    ) -> None:
        """Serve `pages`; what goes wrong in one goes to `report`, one line each."""
        self._pages = dict(pages)
        self.hosts = hosts
        self._limits = limits
        self._web = web
        self._report = report
        self._passwords = PasswordChecks()
        self._bodies = Bodies(limits.bodies_bytes)
        # As in the toolkit, the rate is that of the start.
        rate = web.current.config.rate_limit if web else None
        self._bucket = TokenBucket(rate, time.monotonic()) if rate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._web:
            await self._web.follow()
        request = Request(scope, receive)
        response = await self._answer(request)
        self._finish(response)
        if _has_two_lengths(request):
            response.headers["connection"] = "close"
        client: Client = scope["state"]["client"]
        with self._bodies.sending(response.body, client):
            await response(scope, receive, _in_pieces(send, client))

    def close(self) -> None:
        """End the thread that checks passwords, if there is one."""
        self._passwords.close()

    async def _answer(self, request: Request) -> Response:
        refused = self._refused(request) or await self._unknown_user(request)
        if refused is not None:
            return refused
        page = self._pages.get(request.scope["path"])
        if page is None:
            return _plain(404, "no such page")
        request.scope["state"]["client"].vouch()
        return await self._page(page, request)

    async def _page(self, page: Page, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                return await page(request)
        except Exception as error:  # noqa: BLE001 whatever it is, the next request is served
            what = f"{type(error).__name__}: {error}"
            self._report(f"cannot answer {request.scope['path']}: {printable(what)}")
            return _plain(500, "this page failed; the log of tcpvitals says why")

    def _refused(self, request: Request) -> Response | None:
        """Return what is wrong with the request as such."""
        if _header_bytes(request) > self._limits.header_bytes:
            return _plain(431, "too long a header", {"connection": "close"})
        misdirected = self._misdirected(request)
        if misdirected is not None:
            return misdirected
        if request.method not in _METHODS:
            return _plain(405, "GET and HEAD only", {"allow": ", ".join(_METHODS)})
        if _has_body(request):
            return _plain(413, "a request with a body is not read")
        if self._bucket is not None and not self._bucket.take(time.monotonic()):
            return _plain(429, "too many requests")
        return None

    def _misdirected(self, request: Request) -> Response | None:
        """Return the refusal of what is not meant for this server, or for none that there is."""
        if not request.scope["http_version"].startswith("1."):
            return _plain(505, "HTTP/1.1 only")
        host = request.headers.get("host", "")
        if not host:
            return _plain(400, "a Host header is needed")
        if not self.hosts.admit(host):
            return _plain(421, "this host does not go by that name; see --allow-host")
        return None

    async def _unknown_user(self, request: Request) -> Response | None:
        """Return the refusal of whoever does not say who they are, if the web config has users."""
        users = self._web.current.config.users if self._web else {}
        if not users:
            return None
        claimed = read_credentials(request.headers.get("authorization", ""))
        if claimed is not None:
            client = request.client.host if request.client else ""
            verdict = await self._passwords.check(users, claimed, client)
            if verdict is Verdict.RIGHT:
                return None
            if verdict is Verdict.BUSY:
                return _plain(429, "too many passwords to check", {"retry-after": "1"})
        return _plain(401, "a user and a password are needed", {"www-authenticate": "Basic"})

    def _finish(self, response: Response) -> None:
        response.headers.setdefault("date", formatdate(usegmt=True))
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        for name, value in (self._web.current.config.headers if self._web else {}).items():
            response.headers[name] = value


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers)


def _header_bytes(request: Request) -> int:
    lines = sum(len(name) + len(value) + 4 for name, value in request.scope["headers"])
    return lines + len(request.scope["raw_path"]) + len(request.scope["query_string"])


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or length.strip("0") != ""


def _has_two_lengths(request: Request) -> bool:
    """Whether a proxy in between may see another end of the request (RFC 9112, 6.1)."""
    return "transfer-encoding" in request.headers and "content-length" in request.headers


def _in_pieces(send: Send, client: Client) -> Send:
    async def pieces(message: Message) -> None:
        body = memoryview(message.get("body", b""))
        more = message.get("more_body", False)
        for start in range(0, max(1, len(body)), PIECE_BYTES):
            is_last = start + PIECE_BYTES >= len(body)
            piece = {"body": body[start : start + PIECE_BYTES], "more_body": more or not is_last}
            await send({**message, **piece})
            await asyncio.sleep(0)  # others have a turn, and we hear of it if the client has gone
            if client.is_gone:
                return

    async def whole_or_pieces(message: Message) -> None:
        await (send(message) if len(message.get("body", b"")) <= PIECE_BYTES else pieces(message))

    return whole_or_pieces
