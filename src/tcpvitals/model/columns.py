"""The columns of tables, by the words that `--sort` has for them.

Importing this needs no numpy, because the options are parsed with it.
"""

from __future__ import annotations

from enum import StrEnum


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
