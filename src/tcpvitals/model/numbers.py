"""The one way in which a whole number is read from text that comes from outside."""

from __future__ import annotations


def whole_number(text: str, least: int, most: int) -> int | None:
    """Return the number; None if the text is not a whole number within these bounds.

    int() alone would also take "+24", "2_4" and other alphabets' digits, and raise ValueError for
    more than 4,300 digits.
    """
    if text.isascii() and text.isdecimal() and len(text) <= len(str(most)):
        number = int(text)
        return number if least <= number <= most else None
    return None
