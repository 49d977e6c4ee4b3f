"""Why the benchmark can not be run here."""

from __future__ import annotations


class CannotRunError(Exception):
    """Its text is the one line shown."""
