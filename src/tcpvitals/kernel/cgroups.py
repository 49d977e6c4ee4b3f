"""Cgroup paths by id: the directories of the cgroup2 hierarchy, whose inode numbers are the ids."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNTS: Final = Path("/proc/self/mountinfo")


def mount_point(mounts: Path = _MOUNTS) -> Path | None:
    """Where cgroup2 is mounted; None if nowhere."""
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="surrogateescape").splitlines():
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return Path(before.split()[4].encode().decode("unicode_escape"))
    return None


def paths(root: Path | None = None) -> dict[int, str]:
    """Every cgroup's path by its id, the root's being "/".

    Those that vanish while we look are left out.
    """
    root = root or mount_point()
    return dict(_walk(str(root), "/")) if root else {}


def _walk(directory: str, path: str) -> Iterator[tuple[int, str]]:
    with contextlib.suppress(OSError):
        yield os.stat(directory).st_ino, path  # noqa: PTH116 - half the time for thousands
        with os.scandir(directory) as entries:
            below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for name in below:
            yield from _walk(f"{directory}/{name}", f"{path.rstrip('/')}/{name}")
