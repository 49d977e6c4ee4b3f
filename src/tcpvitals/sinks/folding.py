"""Breaks what is wider than the terminal between words; nothing is cut off."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

INDENT: Final = "  "
"""Before what continues a line."""

_LEAST_WIDTH: Final = 20


def folded(lines: Iterable[str], width: int | None, indent: str = INDENT) -> list[str]:
    """Return lines of at most `width` columns, None for any; a longer word is broken, too.

    Args:
        lines: the lines.
        width: how many columns there are.
        indent: what stands before each part of a line but the first.
    """
    if width is None:
        return list(lines)
    return [part for line in lines for part in _fold(line, max(width, _LEAST_WIDTH), indent)]


def _fold(line: str, width: int, indent: str) -> list[str]:
    if len(line) <= width:
        return [line]
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
