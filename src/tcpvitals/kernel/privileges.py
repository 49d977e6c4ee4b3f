"""Gives away what only loading and attaching needed: capabilities, the user, changing files.

All of it is the calling thread's alone, which must be the only one; `stay_single` sees to that for
libraries that would start more when they are imported.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcpvitals.errors import PrivilegeError
from tcpvitals.kernel.facts import Answer
from tcpvitals.kernel.host import since
from tcpvitals.kernel.libbpf import landlock
from tcpvitals.kernel.libbpf import privileges as door

if TYPE_CHECKING:
    from collections.abc import Collection

    from tcpvitals.kernel.users import User

CAP_BPF: Final = 39  # linux/capability.h
# Commit c8644cd0efe7: with kernel.unprivileged_bpf_disabled set, who holds a map's or a link's file
# descriptor may use it.  Until then every bpf(2) call but a privileged one was refused.
FREE_TO_USE_SINCE: Final = (5, 19)
_LAST_MOMENT_S: Final = 1.0
_TASKS: Final = Path("/proc/self/task")
_STATUS: Final = Path("/proc/self/status")
# OpenBLAS starts a thread for each CPU as soon as numpy is imported.
_SINGLE: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def stay_single() -> None:
    """Keep numpy from starting threads that we never use; before it is first imported."""
    os.environ.update(dict.fromkeys(_SINGLE, "1"))


def capabilities_needed(release: str) -> frozenset[int]:
    """What reading and updating loaded maps, and running attached iterators, still takes.

    The setting that decides about it may be changed at any time, so it is not looked at.
    """
    free = since(release, FREE_TO_USE_SINCE) is Answer.YES
    return frozenset() if free else frozenset({CAP_BPF})


def drop(user: User | None, keep: Collection[int] = ()) -> None:
    """Give up all capabilities but those, for ever, and become another user, if one is given.

    What is started from here on gains nothing, be it setuid, either.

    Raises:
        PrivilegeError: it cannot be done, or what the kernel says afterwards is something else.
        RuntimeError: there are more threads, which would keep everything: a defect.
    """
    _demand_one_thread()
    with contextlib.suppress(PermissionError):  # no_new_privs does as well
        door.empty_bounding_set()
    if user is not None:
        _become(user)
    try:
        door.clear_ambient_set()
        door.set_capabilities(keep)
        door.forbid_new_privileges()
    except OSError as error:
        message = f"cannot give up privileges: {error.strerror}"
        raise PrivilegeError(message) from error
    verify(_STATUS.read_text(errors="replace"), user, keep)


def confine() -> bool:
    """Give up changing files and making connections, after `drop`; False where Landlock is not.

    It is one more wall, and most of all where root stays root: without capabilities, too, root's
    files are root's.  Reading is not confined: /proc, configuration and certificates are read on.
    """
    try:
        landlock.forbid_changes()
    except OSError:
        return False
    return True


def _demand_one_thread() -> None:
    """One that was joined may be there for a moment longer: the kernel has yet to end it."""
    deadline = time.monotonic() + _LAST_MOMENT_S
    while (threads := sum(1 for _ in _TASKS.iterdir())) > 1:
        if time.monotonic() > deadline:
            message = f"{threads} threads when privileges were to be dropped"
            raise RuntimeError(message)
        time.sleep(0.001)


def _become(user: User) -> None:
    """As root, or as that user already; without any groups but the one."""
    uids, gids = (user.uid,) * 3, (user.gid,) * 3
    try:
        if set(os.getgroups()) - {user.gid}:
            os.setgroups([])
        if os.getresgid() != gids:
            os.setresgid(*gids)
        if os.getresuid() != uids:
            door.keep_over_user_change(wanted=True)
            os.setresuid(*uids)
            door.keep_over_user_change(wanted=False)
    except OSError as error:
        message = (
            f"cannot become user {user.uid}, group {user.gid}: {error.strerror}; "
            "start as root, or leave --user out"
        )
        raise PrivilegeError(message) from error


def verify(status: str, user: User | None, keep: Collection[int]) -> None:
    """Compare with what the kernel says of us (/proc/PID/status).

    Raises:
        PrivilegeError: that is not what was asked for.
    """
    mask = f"{sum(1 << number for number in keep):016x}"
    none = "0" * len(mask)
    wanted = {"CapEff": mask, "CapPrm": mask, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1"}
    found = dict(re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE))
    if user is not None:
        wanted |= {"Uid": "\t".join([str(user.uid)] * 4), "Gid": "\t".join([str(user.gid)] * 4)}
        # Its own group may be listed, too: to change the list takes a capability.
        groups = found.pop("Groups", "").split()
        wanted["Groups"] = str(user.gid) if groups else ""
        found["Groups"] = " ".join(groups)
    wrong = [name for name, value in wanted.items() if found.get(name) != value]
    if wrong:
        said = ", ".join(f"{name} is {found.get(name)!r}" for name in wrong)
        message = f"privileges are not as they should be: {said}"
        raise PrivilegeError(message)
