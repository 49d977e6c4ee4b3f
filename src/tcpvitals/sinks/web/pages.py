"""The pages that answer in plain words; metrics are text that is given to us."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from tcpvitals.sinks.preferences import read_preferences
from tcpvitals.sinks.web.app import CONTENT_SECURITY_WITH_STYLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from tcpvitals.sinks.web.app import Page

_LANDING = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>tcpvitals</title>
<style>
body {{ font: 1rem/1.5 sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }}
dt {{ float: left; clear: left; width: 8rem }}
dd {{ margin-left: 8rem }}
</style>
</head>
<body>
<h1>tcpvitals</h1>
<p>Round-trip time and retransmissions of this host's TCP connections, for Prometheus.</p>
<ul>
<li><a href="/metrics">/metrics</a> the figures</li>
<li><a href="/healthz">/healthz</a> whether they are complete and up to date</li>
</ul>
<dl>
{facts}
</dl>
</body>
</html>
"""


def metrics_page(render: Callable[[str, bool], Awaitable[tuple[str, bytes]]]) -> Page:
    """Return the page that `render` writes, given an Accept header and whether to compress."""

    async def metrics(request: Request) -> Response:
        compressed = takes_gzip(request.headers.get("accept-encoding", ""))
        content_type, body = await render(request.headers.get("accept", ""), compressed)
        headers = {"content-type": content_type, "vary": "accept, accept-encoding"}
        if compressed:
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers)

    return metrics


def health_page(complaint: Callable[[], str | None]) -> Page:
    """Return the page that says ok, or with status 503 what is wrong."""

    async def health(_request: Request) -> Response:
        wrong = complaint()
        return PlainTextResponse(f"{wrong or 'ok'}\n", 503 if wrong else 200)

    return health


def landing_page(facts: Callable[[], dict[str, str]]) -> Page:
    """Return the page that people see first; `facts` by their names are shown on it."""

    async def landing(_request: Request) -> Response:
        lines = (
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in facts().items()
        )
        text = _LANDING.format(facts="\n".join(lines))
        return HTMLResponse(text, headers={"content-security-policy": CONTENT_SECURITY_WITH_STYLE})

    return landing


def takes_gzip(accepted: str) -> bool:
    """Whether Accept-Encoding admits gzip (RFC 9110, 12.5.3): by its names, else by `*`."""
    weights = {entry.name: entry.weight for entry in read_preferences(accepted)}
    named = [weights[name] for name in ("gzip", "x-gzip", "*") if name in weights]
    return bool(named) and named[0] > 0
