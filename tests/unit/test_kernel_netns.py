"""Network namespaces are found by whatever people call them, and nothing else is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.kernel import netns

OURS = Path("/proc/self/ns/net")


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of names, with our own namespace as "blue"."""
    monkeypatch.setattr(netns, "NAMED", tmp_path)
    # A name is a bind mount of the namespace's file, which takes root; a link reads the same.
    (tmp_path / "blue").symlink_to(f"/proc/{os.getpid()}/ns/net")
    return tmp_path


@pytest.fixture
def inode() -> int:
    """Return our namespace's inode number."""
    return OURS.stat().st_ino


def test_a_name_is_one_of_ip_netns(named: Path, inode: int) -> None:
    assert named.is_dir()
    assert netns.find_inode("blue") == inode


def test_a_path_is_the_file_of_a_namespace(inode: int) -> None:
    assert netns.find_inode(str(OURS)) == inode


def test_a_process_id_is_the_namespace_that_it_is_in(inode: int) -> None:
    assert netns.find_inode(str(os.getpid())) == inode


def test_an_inode_number_is_itself_ours_included(inode: int) -> None:
    assert netns.find_inode(str(inode)) == inode


@pytest.mark.parametrize(
    "number",
    [
        0xEFFFFFF9,  # the initial one, since 6.18
        0xF0000000,  # the first of all others
        0xFFFFFFFF,
    ],
)
def test_numbers_of_namespaces_are_above_those_of_processes(number: int) -> None:
    assert netns.find_inode(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "no_such_name",
        "blue ",
        "0",
        "-1",
        "+1",
        "1_0",
        "4194304",  # one past the last process id
        "4294967296",  # one past the last inode number
        "9" * 5000,
        "\u0661",  # a decimal digit, but not one of ours
        "/nonexistent",
        "/",
        "/dev/null",
        "/proc/self/ns/mnt",
        "/proc/self/ns/user",
        "/proc/self/status",
        "null\0byte",
        "/null\0byte",
        "x" * 5000,
    ],
)
def test_what_is_no_network_namespace_is_bad_usage(named: Path, text: str) -> None:
    assert named.is_dir()
    with pytest.raises(UsageError) as raised:
        netns.find_inode(text)
    assert raised.value.exit_code == 2
    assert "give a name as in ip netns" in str(raised.value)


def test_a_name_that_is_an_ordinary_file_is_no_namespace(named: Path) -> None:
    (named / "left_behind").touch()
    with pytest.raises(UsageError):
        netns.find_inode("left_behind")


def test_nonsense_is_repeated_without_its_escapes() -> None:
    with pytest.raises(UsageError) as raised:
        netns.find_inode("\x1b[31mred\n")
    assert "'\\x1b[31mred\\x0a'" in str(raised.value)


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(UsageError):
        netns.find_inode(str(fifo))


# --- names -------------------------------------------------------------------------------


def test_names_are_by_inode(named: Path, inode: int) -> None:
    (named / "gone").symlink_to("/proc/0/ns/net")
    found = netns.names()
    assert found.pop(inode) in {"blue", netns.HOST}
    assert set(found.values()) <= {netns.HOST}


def test_without_a_folder_of_names_there_is_at_most_the_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(netns, "NAMED", Path("/nonexistent"))
    assert set(netns.names().values()) <= {netns.HOST}


def test_mounts_of_namespaces_are_found_by_what_is_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
        "90 25 0:4 net:[4026532281] /run/netns/blue rw shared:9 - nsfs nsfs rw\n"
        "91 25 0:4 mnt:[4026532282] /run/snapd/ns/x rw - nsfs nsfs rw\n"
        "92 25 0:4 net:[4026532283] /run/docker/netns/a\\040b rw - nsfs nsfs rw\n"
    )
    monkeypatch.setattr(netns, "_MOUNTS", mountinfo)
    assert netns.mounts() == [
        (4026532281, Path("/run/netns/blue")),
        (4026532283, Path("/run/docker/netns/a b")),
    ]


def test_without_a_list_of_mounts_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(netns, "_MOUNTS", tmp_path / "nothing")
    assert netns.mounts() == []
