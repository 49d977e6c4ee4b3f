"""Cgroups by the inode numbers of their directories: a made-up hierarchy, and where it is."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcpvitals.kernel import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 21 0:22 / /sys/fs/cgroup/memory rw,nosuid shared:8 - cgroup cgroup rw,memory
26 21 0:23 / {at} rw,nosuid,nodev,noexec,relatime shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate
30 21 0:30 / /mnt/later rw - cgroup2 none rw
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a hierarchy: two slices, of which one has services; files and links are no cgroups."""
    for name in ("system.slice/nginx.service", "system.slice/ssh.service", "user.slice"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "system.slice/cgroup.procs").write_text("")
    (tmp_path / "link").symlink_to("system.slice", target_is_directory=True)
    return tmp_path


def number(path: Path) -> int:
    """Return the id that a cgroup at that path has."""
    return path.stat().st_ino


@contextmanager
def below(top: Path, levels: int) -> Iterator[None]:
    """Nest so many directories in `top`, deeper than any path can name, and remove them."""
    here = os.open(top, os.O_RDONLY)
    try:
        for _ in range(levels):
            os.mkdir("a", dir_fd=here)
            deeper = os.open("a", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        yield
    finally:
        os.close(here)
        flatten(top)


def flatten(top: Path) -> None:
    """Remove what is in `top` without recursion: what is deep is moved up, piece by piece."""
    while (top / "a").exists():
        piece = Path("a", *["a"] * 499)
        if (top / piece / "a").exists():
            (top / piece / "a").rename(top / "rest")
        shutil.rmtree(top / "a")
        if (top / "rest").exists():
            (top / "rest").rename(top / "a")


def mounted_at(folder: Path, text: str) -> Path | None:
    """Return where cgroup2 is on a host with these mounts."""
    mounts = folder / "mountinfo"
    mounts.write_bytes(os.fsencode(text))
    return cgroups.mount_point(mounts)


# --- the hierarchy -----------------------------------------------------------------------


def test_a_cgroup_has_the_path_from_the_root_and_the_root_is_a_slash(root: Path) -> None:
    wanted = {"/": root, "/system.slice/ssh.service": root / "system.slice/ssh.service"}
    found = cgroups.find([number(at) for at in wanted.values()], root)
    assert found == {number(at): path for path, at in wanted.items()}


def test_neither_a_file_nor_what_a_link_leads_to_is_a_cgroup(root: Path) -> None:
    file, slice_ = root / "cgroup.procs", root / "system.slice"
    assert cgroups.find([number(file), number(slice_)], root) == {number(slice_): "/system.slice"}


def test_names_come_out_as_they_came_in_whatever_bytes_they_have(tmp_path: Path) -> None:
    names = [b"bl\xc3\xa5 \x1b[31m", b"not UTF-8 \xff", b"line\nbreak"]
    for name in names:
        (tmp_path / os.fsdecode(name)).mkdir()
    wanted = [number(tmp_path / os.fsdecode(name)) for name in names]
    found = cgroups.find(wanted, tmp_path).values()
    assert {os.fsencode(path) for path in found} == {b"/" + name for name in names}


def test_a_cgroup_is_found_down_to_63_levels_below_the_root(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*("a" for _ in range(64)))
    deepest.mkdir(parents=True)
    wanted = [number(deepest), number(deepest.parent)]
    assert cgroups.find(wanted, tmp_path) == {number(deepest.parent): "/a" * 63}


def test_5000_nested_cgroups_neither_fail_nor_hide_what_is_beside_them(root: Path) -> None:
    user = root / "user.slice"
    with below(user, 5000):
        wanted = [number(root / "system.slice/ssh.service"), 404]
        assert list(cgroups.find(wanted, root).values()) == ["/system.slice/ssh.service"]


def test_no_more_directories_are_read_than_the_limit_and_those_above_come_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(10):
        (root / "user.slice" / str(name)).mkdir()
    deep, above = root / "system.slice/ssh.service/deep", root / "user.slice"
    deep.mkdir()
    monkeypatch.setattr(cgroups, "_MOST_DIRECTORIES", 6)
    assert cgroups.find([number(deep), number(above)], root) == {number(above): "/user.slice"}


def test_reading_ends_with_the_last_one_that_is_wanted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scandir = os.scandir

    def scandir_noted(path: str) -> object:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr("tcpvitals.kernel.cgroups.os.scandir", scandir_noted)
    cgroups.find([number(root)], root)
    assert read == []


def test_nothing_is_read_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mount_point", pytest.fail)
    assert cgroups.find([]) == {}


def test_one_that_vanishes_before_it_is_looked_at_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx, ssh = root / "system.slice/nginx.service", root / "system.slice/ssh.service"
    wanted = [number(nginx), number(ssh)]
    stat = os.stat

    def stat_late(path: str) -> os.stat_result:
        if path.endswith("nginx.service"):
            Path(path).rmdir()
        return stat(path)

    monkeypatch.setattr("tcpvitals.kernel.cgroups.os.stat", stat_late)
    assert list(cgroups.find(wanted, root).values()) == ["/system.slice/ssh.service"]


def test_one_that_vanishes_while_it_is_looked_at_takes_nothing_else_with_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [number(root / "system.slice/ssh.service"), number(root / "user.slice")]
    scandir = os.scandir

    def scandir_late(path: str) -> object:
        if path.endswith("system.slice"):
            Path(path).rename(root.with_name("gone"))
        return scandir(path)

    monkeypatch.setattr("tcpvitals.kernel.cgroups.os.scandir", scandir_late)
    assert list(cgroups.find(wanted, root).values()) == ["/user.slice"]


def test_a_root_that_does_not_exist_has_no_cgroups(tmp_path: Path) -> None:
    assert cgroups.find([1], tmp_path / "nosuch") == {}


def test_without_a_root_it_is_where_cgroup2_is_mounted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "mount_point", lambda: root)
    assert cgroups.find([number(root)]) == {number(root): "/"}


def test_where_cgroup2_is_not_mounted_no_cgroup_has_a_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroups, "mount_point", lambda: None)
    assert cgroups.find([1]) == {}


# --- where it is -------------------------------------------------------------------------


def test_cgroup2_is_found_among_other_mounts_and_the_first_counts(tmp_path: Path) -> None:
    found = mounted_at(tmp_path, MOUNTS.format(at="/sys/fs/cgroup/unified"))
    assert found == Path("/sys/fs/cgroup/unified")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"/a\040b", "/a b"),
        (r"/tab\011here", "/tab\there"),
        (r"/line\012break", "/line\nbreak"),
        (r"/back\134slash", "/back\\slash"),
        (r"/\134040", r"/\040"),
        (r"/a\040-\040b", "/a - b"),
    ],
)
def test_what_the_kernel_writes_as_octal_is_read_as_what_it_is(
    tmp_path: Path, written: str, meant: str
) -> None:
    assert mounted_at(tmp_path, MOUNTS.format(at=written)) == Path(meant)


@pytest.mark.parametrize("name", ["/bl\u00e5", "/\u65e5\u672c", "/not-UTF-8-\udcff"])
def test_a_mount_point_may_have_any_letters(tmp_path: Path, name: str) -> None:
    assert mounted_at(tmp_path, MOUNTS.format(at=name)) == Path(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25 21 0:22 / /sys/fs/cgroup rw shared:8 - cgroup cgroup rw,memory\n",
        "25 21 0:22 / /cgroup2 rw shared:8 - ext4 cgroup2 rw\n",
        "25 21 0:22 / /mnt rw shared:8 - cgroup2fs none rw\n",
    ],
)
def test_a_host_without_cgroup2_has_it_nowhere(tmp_path: Path, text: str) -> None:
    assert mounted_at(tmp_path, text) is None


def test_where_mounts_cannot_be_read_it_is_nowhere(tmp_path: Path) -> None:
    assert cgroups.mount_point(tmp_path / "nosuch") is None
