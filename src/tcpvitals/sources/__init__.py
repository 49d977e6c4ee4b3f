"""Where snapshots come from.  A source is whatever has `snapshot`; sinks never know which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tcpvitals.model.snapshot import Snapshot


class SnapshotSource(Protocol):
    """Anything that can say how all counters stand."""

    def snapshot(self) -> Snapshot:
        """All counters at this moment; they only ever grow."""
        ...
