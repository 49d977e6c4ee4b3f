"""Privileges: what is kept is decided by the kernel's age, and what was dropped is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tcpvitals.errors import PrivilegeError
from tcpvitals.kernel import privileges
from tcpvitals.kernel.privileges import CAP_BPF, capabilities_needed, drop, verify
from tcpvitals.kernel.users import User

STATUS = """Name:\tpython3
Uid:\t7\t7\t7\t7
Gid:\t8\t8\t8\t8
Groups:\t
CapInh:\t0000000000000000
CapPrm:\t0000008000000000
CapEff:\t0000008000000000
CapBnd:\t0000000000000000
CapAmb:\t0000000000000000
NoNewPrivs:\t1
"""
USER = User(7, 8)


@pytest.mark.parametrize(
    ("release", "kept"),
    [
        ("5.10.0-46-amd64", {CAP_BPF}),
        ("5.18.19", {CAP_BPF}),
        ("5.19.0", set()),
        ("6.1.0-56-amd64", set()),
        ("7.3.4+deb13-amd64", set()),
        ("of our own", {CAP_BPF}),
    ],
)
def test_cap_bpf_is_kept_where_the_kernel_may_ask_for_it(release: str, kept: set[int]) -> None:
    assert capabilities_needed(release) == kept


def test_a_status_as_it_was_asked_for_is_fine() -> None:
    verify(STATUS, USER, {CAP_BPF})
    verify(STATUS, None, {CAP_BPF})
    verify(STATUS.replace("Groups:\t", "Groups:\t8 "), USER, {CAP_BPF})
    verify(STATUS.replace("8000000000\n", "0000000000\n"), USER, ())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("CapEff:\t0000008", "CapEff:\t0000000", "CapEff is '0000000000000000'"),
        ("CapPrm:\t0000008", "CapPrm:\t0000018", "CapPrm is '0000018000000000'"),
        ("CapInh:\t0", "CapInh:\t1", "CapInh is '1000000000000000'"),
        ("CapAmb:\t0", "CapAmb:\t1", "CapAmb is '1000000000000000'"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs is '0'"),
        ("NoNewPrivs:\t1", "", "NoNewPrivs is None"),
        ("Uid:\t7\t7\t7", "Uid:\t7\t7\t0", r"Uid is '7\\t7\\t0\\t7'"),
        ("Gid:\t8", "Gid:\t0", r"Gid is '0\\t8\\t8\\t8'"),
        ("Groups:\t", "Groups:\t8 27 ", "Groups is '8 27'"),
    ],
)
def test_a_status_that_is_anything_else_is_an_error(old: str, new: str, said: str) -> None:
    assert old in STATUS
    with pytest.raises(PrivilegeError, match=said):
        verify(STATUS.replace(old, new), USER, {CAP_BPF})


def test_with_a_second_thread_it_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_LAST_MOMENT_S", 0.01)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads when privileges were to be dropped"):
            drop(None)
    finally:
        ended.set()
        thread.join()


COUNT = """
import os
{before}
import numpy
print(numpy.arange(90_000.0).reshape(300, 300).dot(numpy.eye(300)).shape, end=" ")
print(len(os.listdir("/proc/self/task")))
"""
STAY_SINGLE = "from tcpvitals.kernel.privileges import stay_single\nstay_single()"


@pytest.mark.parametrize("wanted", ["8", None])
def test_numpy_starts_no_threads_whatever_the_environment_says(wanted: str | None) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    if wanted:
        environment |= {"OPENBLAS_NUM_THREADS": wanted, "OMP_NUM_THREADS": wanted}
    done = subprocess.run(
        (sys.executable, "-c", COUNT.format(before=STAY_SINGLE)),
        check=True,
        text=True,
        capture_output=True,
        env=environment,
    )
    assert done.stdout == "(300, 300) 1\n"
