#!/usr/bin/env python3
"""Asks /healthz; ends with 0 if all is well, else says what is not and ends with 1.

The address is $TCPVITALS_HEALTHZ.  If the web config has users, $TCPVITALS_USER is one, and the
file $TCPVITALS_PASSWORD_FILE has the password.  With --alive, losses that rise are no failure:
nothing that restarts the exporter could help against them.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_S = 3.0


def headers() -> dict[str, str]:
    """Say who we are, if that is asked for."""
    file = os.environ.get("TCPVITALS_PASSWORD_FILE")
    if not file:
        return {}
    user = os.environ.get("TCPVITALS_USER", "prometheus")
    pair = f"{user}:{Path(file).read_text().strip()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def connection(url: str) -> http.client.HTTPConnection:
    """Make a connection; nobody is between us and ourselves, so any certificate does."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        anyone = ssl._create_unverified_context()  # noqa: S323, SLF001
        return http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=anyone)
    return http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)


def complaint(*, alive: bool) -> str | None:
    """Return what is wrong, None if nothing is."""
    url = os.environ.get("TCPVITALS_HEALTHZ", "http://127.0.0.1:2112/healthz")
    try:
        asked = connection(url)
        asked.request("GET", urlsplit(url).path, headers=headers())
        answer = asked.getresponse()
        text = answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    if answer.status == http.HTTPStatus.OK:
        return None
    if alive and answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE and "losses" in text:
        return None
    return f"{url}: {answer.status} {text}"


if __name__ == "__main__":
    sys.exit(complaint(alive="--alive" in sys.argv[1:]))
