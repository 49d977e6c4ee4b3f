"""Characters beyond ASCII, and what stands in for them where the output cannot show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = " .:-=+*#@"
_ELLIPSIS, _ASCII_ELLIPSIS = "…", "~"


def blocks(stream: TextIO) -> str:
    """Return nine characters, from an empty one to a full one, for sparklines."""
    return _BLOCKS if _shows(stream, _BLOCKS) else _ASCII_BLOCKS


def ellipsis(stream: TextIO) -> str:
    """Return the character that stands for what was cut out."""
    return _ELLIPSIS if _shows(stream, _ELLIPSIS) else _ASCII_ELLIPSIS


def _shows(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has these characters; a stream without one has all."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
