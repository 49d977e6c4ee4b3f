"""When to look through all tasks' open files for whose each socket is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcpvitals.kernel.loaded import Loaded

# At most every half second where connections were accepted, every ten seconds for what was handed
# on otherwise, and never so often that it would take more than a fiftieth of the time.
_ACCEPTED_S: Final = 0.5
_HANDED_ON_S: Final = 10.0
_SHARE: Final = 50


class OwnerSearch:
    """Looks when it is due; made when the programs have just been attached, which looks, too."""

    def __init__(self, loaded: Loaded) -> None:
        """Remember that it was done now."""
        self._loaded = loaded
        self._accepted = 0
        self._looked_s, self._took_s = time.monotonic(), 0.0

    def look(self) -> None:
        """Look, if there may be something new and it is not too soon."""
        accepted, now_s = self._loaded.accepted(), time.monotonic()
        least_s = _HANDED_ON_S if accepted == self._accepted else _ACCEPTED_S
        if now_s - self._looked_s < max(least_s, _SHARE * self._took_s):
            return
        self._loaded.visit_open_files()
        self._accepted, self._looked_s = accepted, now_s
        self._took_s = time.monotonic() - now_s
