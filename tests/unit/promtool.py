"""Finds promtool, Prometheus' own checker, for the tests that need it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def promtool() -> str:
    """Return its path: from PATH, $TCPVITALS_PROMTOOL, or where scripts/fetch-prometheus puts it.

    Without it, the test is skipped.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    fetched = cache / "tcpvitals/prometheus/promtool"
    for candidate in ("promtool", os.environ.get("TCPVITALS_PROMTOOL"), str(fetched)):
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    pytest.skip("no promtool: run scripts/fetch-prometheus")
