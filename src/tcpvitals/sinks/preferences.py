"""What a client takes, by weight: the lists in Accept and Accept-Encoding.  Pure.

Source: RFC 9110, sections 5.6 (lists, parameters, optional whitespace) and 12.4.2 (weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_WHITESPACE: Final = " \t"
# Browsers and scrapers send ten at most; what comes after these is ignored.
_MOST_ENTRIES: Final = 64


@dataclass(frozen=True, slots=True)
class Preference:
    """One entry; its name and the names of its parameters are in lower case."""

    name: str
    parameters: dict[str, str]

    @property
    def weight(self) -> float:
        """How much it is wanted, 0 to 1; 0 for what no number is."""
        text = self.parameters.get("q", "1")
        # float() would also take "1e3", "inf" and other alphabets' digits.
        plain = text.isascii() and text.replace(".", "", 1).isdecimal()
        return min(float(text), 1.0) if plain else 0.0


def read_preferences(header: str) -> list[Preference]:
    """Return the entries of a header's value, in its order, 64 at most."""
    return [_preference(entry) for entry in header.split(",", _MOST_ENTRIES)[:_MOST_ENTRIES]]


def _preference(entry: str) -> Preference:
    name, *rest = entry.split(";")
    pairs = (parameter.partition("=") for parameter in rest)
    parameters = {name.strip(_WHITESPACE).lower(): _unquoted(value) for name, _, value in pairs}
    return Preference(name.strip(_WHITESPACE).lower(), parameters)


def _unquoted(value: str) -> str:
    return value.strip(_WHITESPACE).strip('"')
