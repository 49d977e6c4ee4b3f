"""What the rows of a table are called: the heading, and the values of a group under it.

A connection reads as one: laddr:lport > raddr:rport.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tcpvitals.model.key import WHOLE_ADDRESS, WHOLE_HOST, Field
from tcpvitals.model.printable import printable
from tcpvitals.sinks.cells import bracketed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcpvitals.model.key import Grouping, GroupKey
    from tcpvitals.model.names import Names

SPACE_IN_NAME: Final = r"\x20"
"""Stands for a space within a name where spaces separate columns."""

_PORT_OF: Final = {Field.LADDR: Field.LPORT, Field.RADDR: Field.RPORT}


def heading(grouping: Grouping) -> str:
    """Write what the column of groups shows: raddr:rport,role."""
    return _joined(grouping, grouping.fields) or WHOLE_HOST


def group(key: GroupKey, grouping: Grouping, names: Names, space: str = " ") -> str:
    """Write a group's values, safe for a terminal, under a heading that names the fields.

    Args:
        key: the group.
        grouping: what makes one.
        names: of namespaces and cgroups.
        space: what stands for a space within a name.
    """
    values = (value.replace(" ", space) for value in key.labels(grouping, names).values())
    return printable(_joined(grouping, values)) or WHOLE_HOST


def _joined(grouping: Grouping, texts: Iterable[str]) -> str:
    pairs = zip(_separators(grouping), texts, strict=True)
    return "".join(
        before + (bracketed(text) if after == ":" else text) for (before, after), text in pairs
    )


@lru_cache(maxsize=64)
def _separators(grouping: Grouping) -> tuple[tuple[str, str], ...]:
    """Return what stands before and after each field's value."""
    between = [_between(grouping, at) for at in range(1, len(grouping.fields))]
    return tuple(zip(["", *between], [*between, ""], strict=True)) if grouping.fields else ()


def _between(grouping: Grouping, at: int) -> str:
    """Return what stands before the field `at`, which is not the first."""
    before, (last, field) = grouping.fields[:at], grouping.fields[at - 1 : at + 1]
    if _PORT_OF.get(last) is field and grouping.prefix(last) == WHOLE_ADDRESS:
        return ":"
    is_local_end = last is Field.LADDR or before[-2:] == (Field.LADDR, Field.LPORT)
    return " > " if is_local_end and field is Field.RADDR else ","
