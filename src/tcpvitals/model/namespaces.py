"""Network namespaces: what identifies one, and what was counted in each.

An inode number alone identifies none: it is used again as soon as its namespace is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tcpvitals.model.totals import Totals


class Netns(NamedTuple):
    """A network namespace; `cookie` is 0 where it could not be read.

    Before 5.12 the kernel has no cookie, and `net->hash_mix` stands in.  That is a secret of the
    kernel's hash tables: cookies are compared, and never shown.
    """

    inode: int
    cookie: int


@dataclass(frozen=True, slots=True, eq=False)
class NamespaceTotals:
    """What was counted in all network namespaces since the start, at one moment.

    Attributes:
        each: the totals of each namespace that has a slot.
        other: what was counted in namespaces for which there was no slot.
        retired: what was counted in namespaces without a sign of life, whose slot was taken back.
        gone: how many namespaces those are.
        retirements: of these, which may yet appear again, and how often each has been retired.
    """

    each: Mapping[Netns, Totals]
    other: Totals
    retired: Totals
    gone: int
    retirements: Mapping[Netns, int]
