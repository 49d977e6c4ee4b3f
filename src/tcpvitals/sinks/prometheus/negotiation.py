"""Which of the two text formats a scraper gets, from its Accept header.

prometheus_client names the content types, but takes the first format of the header that it knows,
whatever the weights, and any version and any name that a client makes up.  So the header is read
here, and the library is asked about one clean entry of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client.exposition import choose_encoder

from tcpvitals.sinks.preferences import Preference, read_preferences

_OPENMETRICS: Final = "application/openmetrics-text"
_CLASSIC: Final = "text/plain"
_VERSIONS: Final = {_OPENMETRICS: ("1.0.0",), _CLASSIC: ("0.0.4", "1.0.0")}
"""What we write, and which version where a client names none: the first."""

# No name of ours needs any escaping, so these two are the same.
_ESCAPINGS: Final = ("underscores", "allow-utf-8")


@dataclass(frozen=True, slots=True)
class Format:
    """A text format, and its name in the header of the answer."""

    openmetrics: bool
    content_type: str


def _clean(entry: Preference) -> str | None:
    """What we have that answers it, as an entry of its own; None if nothing does."""
    versions = _VERSIONS.get(entry.name)
    if versions is None:
        return None
    version = entry.parameters.get("version", versions[0])
    asked = entry.parameters.get("escaping")
    escaping = asked if asked in _ESCAPINGS else _ESCAPINGS[0]
    known = version in versions and entry.weight > 0
    return f"{entry.name};version={version};escaping={escaping}" if known else None


def choose(accept: str) -> Format:
    """Return the format that is wanted most of those there are, the classic one by default.

    Of formats that are wanted equally, the first one; wildcards get the default.
    """
    entries = sorted(read_preferences(accept), key=lambda entry: -entry.weight)
    clean = next(filter(None, map(_clean, entries)), "")
    _, content_type = choose_encoder(clean)
    return Format(clean.startswith(_OPENMETRICS), content_type)
