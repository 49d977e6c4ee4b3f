"""Is what is shown still what happens?  Pure: fed with every refresh, asked at every question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NS: Final = 1_000_000_000
# A refresh may be late by so many intervals, but never by less than some seconds: machines stall.
_LATE_INTERVALS: Final = 3
_LATE_LEAST_S: Final = 10.0
# One loss is told by its counter.  What goes on from refresh to refresh is not well.
_RISING: Final = 3


@dataclass(slots=True)
class Health:
    """Remembers the last refresh, and for how many in a row losses have been rising."""

    refreshed_ns: int
    losses: Mapping[str, int] = field(default_factory=dict)
    rising: Mapping[str, int] = field(default_factory=dict)
    failure: str | None = None

    def refreshed(self, now_ns: int, losses: Mapping[str, int]) -> None:
        """Note a refresh at `now_ns` (boot time), and what was lost up to then, by reason."""
        more = (reason for reason, lost in losses.items() if lost > self.losses.get(reason, 0))
        self.rising = {reason: self.rising.get(reason, 0) + 1 for reason in more}
        self.refreshed_ns, self.losses, self.failure = now_ns, losses, None

    def failed(self, reason: str) -> None:
        """Note that a refresh could not be made."""
        self.failure = reason

    def complaint(self, now_ns: int, refresh_s: float) -> str | None:
        """Return what is wrong, in a line; None if all is well."""
        age_s = (now_ns - self.refreshed_ns) / _NS
        if self.failure:
            return f"counting stopped: {self.failure}"
        if age_s > max(_LATE_LEAST_S, _LATE_INTERVALS * refresh_s):
            return f"counting stopped: the last refresh was {age_s:.0f} s ago"
        rising = [reason for reason, times in self.rising.items() if times >= _RISING]
        if rising:
            return f"losses are rising: {', '.join(sorted(rising))}"
        return None
