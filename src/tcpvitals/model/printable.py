"""Makes text from outside (names, paths, options) safe to show on a terminal."""

from __future__ import annotations

_LAST_BYTE = 0xFF
_LAST_BASIC = 0xFFFF


def printable(text: str | bytes) -> str:
    r"""Return the text with everything that a terminal would not simply draw written as an escape.

    That is all of Unicode's "other" and "separator" categories but the space: control characters,
    the escape that starts a colour, marks that reverse the reading direction, surrogates, line
    separators.  They become `\xNN`, `\uNNNN` or `\UNNNNNNNN`; so do bytes that are not UTF-8.
    Applying it twice changes nothing more.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if code <= _LAST_BYTE:
        return f"\\x{code:02x}"
    if code <= _LAST_BASIC:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"
