"""Which container and which pod a cgroup belongs to, as far as its path tells.

Each container engine makes a cgroup's name of the container's id in its own way, and both of its
own ("cgroupfs") and of systemd's.  Where one container runs inside another, the inner one counts.
"""

from __future__ import annotations

import re
from typing import Final

# Docker, containerd under Kubernetes and under nerdctl, CRI-O, and Podman, which calls it a payload
# where a systemd unit has split its cgroup.  What is named "-conmon-" watches the container.
_NAMED: Final = re.compile(
    r"(?:docker|cri-containerd|nerdctl|crio|libpod(?:-payload)?)-([0-9a-f]{12,64})(?:\.scope)?"
)
_BARE: Final = re.compile(r"[0-9a-f]{64}")
_POD_SLICE: Final = re.compile(
    r"(?:.*-)?kubepods(?:-burstable|-besteffort)?-pod([0-9a-f_]+)\.slice"
)
_POD_FOLDER: Final = re.compile(r"pod([0-9a-f-]+)")
# containerd gives runc "SLICE:cri-containerd:ID", and one that does not ask systemd takes it for a
# name.
_SEPARATOR: Final = re.compile("[/:]")


def container_of(path: str) -> str | None:
    """Return the id of the container, as long as the path has it; None if there is none."""
    parts = _SEPARATOR.split(path)
    for depth in reversed(range(len(parts))):
        found = _container(parts[depth], parts[:depth])
        if found:
            return found
    return None


def pod_of(path: str) -> str | None:
    """Return the uid of the Kubernetes pod, None if there is none."""
    parts = _SEPARATOR.split(path)
    for depth in reversed(range(len(parts))):
        found = _pod(parts[depth], parts[:depth])
        if found:
            return found
    return None


def _container(part: str, above: list[str]) -> str | None:
    named = _NAMED.fullmatch(part)
    if named:
        return named[1]
    bare = _BARE.fullmatch(part) and (above[-1:] == ["docker"] or _in_kubernetes(above))
    return part if bare else None


def _pod(part: str, above: list[str]) -> str | None:
    # A dash in a slice's name stands for another level, so the uid's are written as underscores.
    in_slice = _POD_SLICE.fullmatch(part)
    if in_slice:
        return in_slice[1].replace("_", "-")
    in_folder = _POD_FOLDER.fullmatch(part)
    return in_folder[1] if in_folder and _in_kubernetes(above) else None


def _in_kubernetes(above: list[str]) -> bool:
    return any("kubepods" in part for part in above)
