"""What can go wrong before the command in the guest has its say."""

from __future__ import annotations

import sys

TIMED_OUT = 124  # as timeout(1)
FAILED_ITSELF = 125  # as timeout(1): no guest, or a guest that died
COMPLAINED = 123  # the command succeeded, the kernel did not


class VmtestError(Exception):
    """One line for the user: what cannot be done, and what would help."""


def log(text: str) -> None:
    """Tell the user on standard error, which the guest's command uses too."""
    sys.stderr.write(f"vmtest: {text}\n")
    sys.stderr.flush()
