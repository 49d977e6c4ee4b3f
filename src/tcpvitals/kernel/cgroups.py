"""Cgroup paths by id: the directories of the cgroup2 hierarchy, whose inode numbers are the ids."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNTS: Final = Path("/proc/self/mountinfo")


def mount_point(mounts: Path = _MOUNTS) -> Path | None:
    """Where cgroup2 is mounted; None if nowhere."""
    with contextlib.suppress(OSError):
        for line in mounts.read_bytes().split(b"\n"):
            before, _, after = line.partition(b" - ")
            if after.startswith(b"cgroup2 "):
                return Path(os.fsdecode(_unescaped(before.split(b" ")[4])))
    return None


def _unescaped(field: bytes) -> bytes:
    """Blanks, tabs, line ends and backslashes are written as three octal digits."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8) & 0xFF]), field)


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
