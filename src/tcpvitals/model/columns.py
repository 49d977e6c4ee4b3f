"""The columns of tables, by the words that `--sort` has for them.

Importing this needs no numpy, because the options are parsed with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RttColumn(StrEnum):
    """What a table of round-trip times has of each group, in this order."""

    COUNT = "count"
    MIN = "min"
    P50 = "p50"
    P90 = "p90"
    P99 = "p99"
    MAX = "max"
    AVG = "avg"


PERCENTILES: Final = {RttColumn.P50: 0.5, RttColumn.P90: 0.9, RttColumn.P99: 0.99}
"""The quantiles that are shown."""


class TotalsColumn(StrEnum):
    """What a table of totals shows of each group, in this order; docs/measuring.md defines it."""

    SENT = "sent"
    RETRANS = "retrans"
    RATIO = "ratio"
    RTO = "rto"
    FAST = "fast"
    SLOW = "slow"
    TLP = "tlp"
    SYN = "syn"
    SYNACK = "synack"
    OTHER = "other"
    DSACK = "dsack"
    FAILED = "failed"
