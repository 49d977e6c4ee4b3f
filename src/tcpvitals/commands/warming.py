"""When to write an answer before it is asked for: shortly before a scraper that comes regularly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_How = TypeVar("_How")

# Who has not come for so many of their intervals does not come any more.
_MISSED: Final = 3


@dataclass(slots=True)
class _Visits:
    last_s: float
    interval_s: float | None = None


class Warming(Generic[_How]):
    """Remembers who asked how and when; times are of one clock, in seconds."""

    def __init__(self) -> None:
        """Expect nobody."""
        self._visits: dict[_How, _Visits] = {}

    def asked(self, how: _How, now_s: float) -> None:
        """Note a question."""
        known = self._visits.get(how)
        self._visits[how] = _Visits(now_s, now_s - known.last_s if known else None)

    def due(self, now_s: float, refresh_s: float) -> Iterator[_How]:
        """Yield the questions that are expected before the refresh after this one."""
        for how, visits in tuple(self._visits.items()):
            if visits.interval_s is None:
                continue
            if now_s - visits.last_s > _MISSED * visits.interval_s + refresh_s:
                del self._visits[how]
            elif now_s + 2 * refresh_s >= visits.last_s + visits.interval_s:
                yield how
