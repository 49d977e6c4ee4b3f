"""The `--web.config.file`: the format of Prometheus' exporter-toolkit, read and checked.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md describes it.
What it may say is checked here, with FILE:LINE; whether the certificates are any good, in `tls`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tcpvitals.model.printable import printable
from tcpvitals.sinks.web.bcrypthash import Hash, HashError, read_hash
from tcpvitals.sinks.web.ratelimit import RateLimit
from tcpvitals.sinks.web.tlssettings import TlsSettings, read_tls_settings
from tcpvitals.sinks.web.yamlnodes import Value, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Those that the toolkit lets one set, and to what.
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
# Each letter can be read in one way only: a long text is refused as quickly as a short one.
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_MOST_LETTERS: Final = 40
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """What the file says: `users` have bcrypt hashes, `headers` go to all answers."""

    tls: TlsSettings | None = None
    users: Mapping[str, Hash] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


def read_web_config(file: Path) -> WebConfig:
    """Read a web config file; paths in it are relative to its folder.

    Raises:
        UsageError: it cannot be read, is not YAML, has an unknown key or a bad value.
    """
    sections = read_yaml(file).fields(
        {"tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"}
    )
    tls = sections.get("tls_server_config")
    users = sections.get("basic_auth_users")
    http = sections.get("http_server_config")
    rate = sections.get("rate_limit")
    return WebConfig(
        tls=read_tls_settings(tls, file.parent) if tls else None,
        users=_users(users) if users else {},
        headers=_headers(http) if http else {},
        rate_limit=_rate_limit(rate) if rate else None,
    )


def _users(section: Value) -> dict[str, Hash]:
    return {_user(name, value): _hash(value) for name, value in section.entries().items()}


def _user(name: str, value: Value) -> str:
    if ":" in name:
        value.refuse(f"{printable(name)}: basic auth has no way to say a name with a colon")
    return name


def _hash(value: Value) -> Hash:
    """Return a bcrypt hash; what stands there instead may be a password, and is not shown."""
    try:
        return read_hash(value.text())
    except HashError as error:
        value.refuse(str(error))


def _headers(section: Value) -> dict[str, str]:
    fields = section.fields({"http2", "headers"})
    if "http2" in fields:
        fields["http2"].flag()  # HTTP/1.1 is spoken either way; docs/ says so
    if "headers" not in fields:
        return {}
    headers = fields["headers"].fields(_HEADERS)
    return {name: _header(name, value) for name, value in headers.items() if value.text()}


def _header(name: str, value: Value) -> str:
    text = value.text()
    if not (text.isascii() and text.isprintable()):
        value.refuse(f"{name} must be printable ASCII on one line")
    allowed = _HEADERS[name]
    if allowed and text not in allowed:
        value.refuse(f"{name} must be {' or '.join(allowed)}")
    return text


def _rate_limit(section: Value) -> RateLimit | None:
    fields = section.fields({"interval", "burst"})
    interval_s = _duration(fields["interval"]) if "interval" in fields else 0.0
    burst = fields["burst"].integer() if "burst" in fields else 0
    if not interval_s:
        return None
    if burst < 1:
        section.refuse("rate_limit without a burst of at least 1 would refuse every request")
    return RateLimit(interval_s, burst)


def _duration(value: Value) -> float:
    """Return the seconds of a duration as Go writes it: 500ms, 1m30s, 0."""
    text = value.text()
    if text == "0":
        return 0.0
    parts = list(_DURATION_PART.finditer(text[:_MOST_LETTERS]))
    if not parts or "".join(part[0] for part in parts) != text:
        shown = printable(text[:_MOST_LETTERS])
        value.refuse(f"{shown} is not a duration like 500ms, 1s or 1m30s")
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)
