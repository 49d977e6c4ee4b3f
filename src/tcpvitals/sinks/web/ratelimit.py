"""The `rate_limit` of the web config: a token bucket for all requests together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` requests at once, and from then on one for each `interval_s`."""

    interval_s: float
    burst: int


class TokenBucket:
    """Tokens that come back with time; a request takes one."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        """Begin full, at `now` seconds of any steady clock."""
        self._limit = limit
        self._tokens = float(limit.burst)
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        back = (now - self._filled_at) / self._limit.interval_s
        self._tokens = min(self._limit.burst, self._tokens + back)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
