"""Cgroup paths by id: the directories of the cgroup2 hierarchy, whose inode numbers are the ids."""

from __future__ import annotations

import contextlib
import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# No system in use nests or has as many; reading them takes about 0.3 s.
_MOST_LEVELS: Final = 64
_MOST_DIRECTORIES: Final = 65_536
# A directory of cgroupfs has a link for each cgroup below it (kernfs_refresh_inode), and two more.
_LINKS_OF_A_LEAF: Final = 2
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


def find(wanted: Collection[int], root: Path | None = None) -> dict[int, str]:
    """Look for the paths of these cgroups.

    The hierarchy is read level by level, so that a subtree of any depth or width, which an
    unprivileged user may make in a delegated cgroup, comes after everything above it.  Cgroups
    that vanish meanwhile, below 64 levels, or past the first 65,536 are not found.

    Args:
        wanted: cgroup ids.
        root: the directory of the hierarchy; by default where cgroup2 is mounted.

    Returns:
        Paths by id, from the root of the hierarchy, whose own path is "/".
    """
    found: dict[int, str] = {}
    missing = set(wanted)
    root = (root or mount_point()) if missing else None
    for number, path in _walk(str(root)) if root else ():
        if number in missing:
            found[number] = path or "/"
            missing.remove(number)
            if not missing:
                break
    return found


def _walk(root: str) -> Iterator[tuple[int, str]]:
    """Every cgroup's id and path, level by level, "" being the root."""
    level, left = [""], _MOST_DIRECTORIES
    for _ in range(_MOST_LEVELS):
        below: list[str] = []
        for path in level[:left]:
            with contextlib.suppress(OSError):
                status = os.stat(root + path)  # noqa: PTH116 - half the time for thousands
                yield status.st_ino, path
                if status.st_nlink != _LINKS_OF_A_LEAF and len(below) < _MOST_DIRECTORIES:
                    below += _children(root, path)
        left -= len(level)
        if left <= 0:
            return
        level = below


def _children(root: str, path: str) -> list[str]:
    with os.scandir(root + path) as entries:
        directories = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
        return [f"{path}/{entry.name}" for entry in islice(directories, _MOST_DIRECTORIES)]
