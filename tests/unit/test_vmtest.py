"""The parts of tests/vm that need no guest: choosing, packing, unpacking, judging."""

from __future__ import annotations

import fcntl
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "vm"))

from vmguest import guest, matrix, vmtest
from vmguest.archive import debian_base, is_wanted, parse_images
from vmguest.errors import COMPLAINED, FAILED_ITSELF, TIMED_OUT, VmtestError
from vmguest.initramfs import cpio, load_order
from vmguest.kernels import find_kernel, pick, vmlinux
from vmguest.selection import KERNELS, RULES, Rule, left_out

RELEASES = ["6.1.0-49-amd64", "6.1.0-56-amd64", "6.12.94+deb13-amd64", "6.12.117+deb13-amd64"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("6.1", "6.1.0-56-amd64"),
        ("6.12", "6.12.117+deb13-amd64"),
        ("6.12.94", "6.12.94+deb13-amd64"),
        ("6.1.0-49-amd64", "6.1.0-49-amd64"),
        ("6", "6.12.117+deb13-amd64"),
        ("6.1.0-4", None),
        ("5.10", None),
    ],
)
def test_a_version_means_its_newest_release(wanted: str, expected: str | None) -> None:
    assert pick(RELEASES, wanted) == expected


def test_busybox_unpacks_what_cpio_packed(tmp_path: Path) -> None:
    packed = cpio({"bin/tool": (0o100755, b"#!/bin/sh\n"), "a/b/c": (0o100644, b"x" * 5)})

    subprocess.run(["busybox", "cpio", "-i"], input=packed, cwd=tmp_path, check=True)

    assert (tmp_path / "bin/tool").stat().st_mode == 0o100755
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "a/b/c").read_bytes() == b"xxxxx"


def test_a_module_is_loaded_after_what_it_needs_and_once() -> None:
    modules_dep = "fs/9p.ko: net/9pnet.ko fs/netfs.ko\nnet/9pnet.ko:\nfs/netfs.ko:\n"
    modules_dep += "net/9pnet-virtio.ko: net/9pnet.ko\n"

    order = load_order(modules_dep, ("9pnet_virtio", "9p", "overlay"))

    assert order == ["net/9pnet.ko", "net/9pnet-virtio.ko", "fs/netfs.ko", "fs/9p.ko"]


def bzimage(payload: bytes) -> bytes:
    """Return a bzImage with one sector of setup and this payload."""
    header = bytearray(1024)
    header[0x1F1] = 1
    header[0x202:0x206] = b"HdrS"
    header[0x248:0x24C] = (16).to_bytes(4, "little")
    header[0x24C:0x250] = len(payload).to_bytes(4, "little")
    return bytes(header) + bytes(16) + payload + b"after the payload"


ELF = b"\x7fELF" + b"kernel" * 1000


def test_the_elf_comes_out_of_a_bzimage_packed_by_xz() -> None:
    assert vmlinux(bzimage(lzma.compress(ELF) + b"size")) == ELF


def test_the_elf_comes_out_of_a_bzimage_packed_by_zstd() -> None:
    packed = subprocess.run(["zstd", "-cq"], input=ELF, capture_output=True, check=True).stdout

    assert vmlinux(bzimage(packed + b"size")) == ELF


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "no header"),
        (b"\0" * 4096, "no header"),
        (bzimage(b"\x1f\x8bgzip"), "neither by xz nor by zstd"),
        (bzimage(b""), "neither by xz nor by zstd"),
        (bzimage(b"\xfd7zXZ damaged, not lzma at all"), "damaged"),
        (bzimage(lzma.compress(ELF)[:-20]), "ends too early"),
        (bzimage(b"\x28\xb5\x2f\xfd damaged"), "no ELF"),
        (bzimage(lzma.compress(b"not a kernel") + b"size"), "no ELF"),
    ],
)
def test_what_is_no_kernel_is_refused_in_one_line(image: bytes, why: str) -> None:
    with pytest.raises(VmtestError, match=why) as caught:
        vmlinux(image)

    assert "\n" not in str(caught.value)


def test_a_kernel_in_parts_needs_all_of_them() -> None:
    text = """\
Package: linux-image-7.3.4-amd64
Version: 7.3.4-1
Depends: linux-base-7.3.4-amd64 (= 7.3.4-1), linux-modules-7.3.4-amd64 (= 7.3.4-1)

Package: linux-image-7.2.1-amd64
Version: 7.2.1-1
Depends: linux-base-7.2.1-amd64 (= 7.2.1-1), linux-modules-7.2.1-amd64 (= 7.2.1-1)

Package: linux-image-6.1.0-56-amd64
Version: 6.1.180-1
Depends: kmod, linux-base (>= 4.3~)
"""
    there = {"linux-base-7.3.4-amd64", "linux-modules-7.3.4-amd64", "linux-image-6.1.0-56-amd64"}

    images = parse_images(text, there)

    assert [image.release for image in images] == ["7.3.4-amd64", "6.1.0-56-amd64"]
    assert images[0].packages == ("linux-base-7.3.4-amd64", "linux-modules-7.3.4-amd64")
    assert images[1].packages == ("linux-image-6.1.0-56-amd64",)


def test_realtime_cloud_and_meta_packages_are_no_guests() -> None:
    names = ["linux-image-6.1.0-56-amd64", "linux-image-6.1.0-56-rt-amd64"]
    names += ["linux-image-6.1.0-56-cloud-amd64", "linux-image-amd64"]

    assert [name for name in names if is_wanted(name)] == ["linux-image-6.1.0-56-amd64"]


def test_debians_archive_is_found_among_others() -> None:
    addresses = ["file:/mirror/ubuntu/", "file:/mirror/debian-security/", "file:/mirror/debian/"]

    assert debian_base(addresses) == "file:/mirror"
    assert debian_base(addresses[:2]) is None


def test_a_host_without_debians_archive_is_told_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho file:/mirror/ubuntu/\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("VMTEST_MIRROR", raising=False)
    monkeypatch.setattr("vmguest.kernels.CACHE", tmp_path / "cache")
    monkeypatch.setattr("sys.argv", ["vmtest", "6.1", "--", "true"])

    assert vmtest.main() == FAILED_ITSELF
    said = capfd.readouterr().err
    assert "knows no Debian archive" in said
    assert said.count("\n") == 1


def test_without_an_archive_a_cached_kernel_still_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for release in ("6.12.94+deb13-amd64", "6.12.117+deb13-amd64"):
        (tmp_path / "kernels" / release).mkdir(parents=True)
        (tmp_path / "kernels" / release / "vmlinux").touch()
    monkeypatch.setattr("vmguest.kernels.CACHE", tmp_path)
    monkeypatch.setattr("vmguest.archive.run", lambda *_: "")

    assert find_kernel("6.12").name == "6.12.117+deb13-amd64"


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("[ 3.1] WARNING: CPU: 0 PID: 7 at net/core/dev.c:1 x+0x1/0x2", True),
        ("[ 3.1] BUG: kernel NULL pointer dereference, address: 0", True),
        ("[ 3.1] Kernel panic - not syncing: Fatal exception", True),
        ("[ 3.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!", False),
        ("[ 3.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", False),
        ("[ 3.1] random: crng init done", False),
    ],
)
def test_a_broken_kernel_is_told_from_a_late_one(line: str, counts: bool) -> None:  # noqa: FBT001 a table's column
    assert (guest.complaint_in(f"[ 1.0] up\n{line}\n") is not None) == counts


def outcome(**known: object) -> guest.Outcome:
    """Return an outcome of which only this is known."""
    result = guest.Outcome()
    for name, value in known.items():
        setattr(result, name, value)
    return result


def test_the_exit_status_says_who_failed() -> None:
    oops = "BUG: kernel NULL pointer dereference"

    assert guest.judge(outcome(status=3), "", strict=True) == 3
    assert guest.judge(outcome(status=0), oops, strict=False) == 0
    assert guest.judge(outcome(status=0), oops, strict=True) == COMPLAINED
    assert guest.judge(outcome(status=3), oops, strict=True) == 3
    assert guest.judge(outcome(gave_up="no end after 5 s"), "", strict=True) == TIMED_OUT
    assert guest.judge(outcome(), "", strict=True) == FAILED_ITSELF


def test_the_guest_runs_the_command_with_our_words_untouched(tmp_path: Path) -> None:
    words = ["printf", "%s\n", "a b", "$HOME", "it's", "*"]
    wanted = guest.Run(tmp_path, words, {"GREETING": "two words; $x"})

    script = guest.command_script(wanted) + '\necho "$GREETING"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [*words[2:], "two words; $x"]


def test_qemu_is_given_paths_with_commas_as_it_wants_them(tmp_path: Path) -> None:
    wanted = guest.Run(tmp_path / "kernel", ["true"], writable=["/a,b"])

    command = guest.qemu_command(wanted, tmp_path, tmp_path / "console")

    assert any("path=/a,,b,security_model=none" in word for word in command)
    assert command[:3] == ["setpriv", "--pdeathsig", "KILL"]


def test_only_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    now = time.time()
    for name, age_s in (("vmtest-dead", 100), ("vmtest-alive", 100), ("vmtest-new", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
        os.utime(tmp_path / name, (now - age_s, now - age_s))

    with (tmp_path / "vmtest-alive/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        guest.sweep(tmp_path, now)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["vmtest-alive", "vmtest-new"]


def test_the_environment_is_read_as_env_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "here")

    assert vmtest.environment(["A=b=c", "OURS", "NONE_SUCH"]) == {
        "A": "b=c",
        "OURS": "here",
        "NONE_SUCH": "",
    }


def test_without_kernels_named_all_are_run() -> None:
    assert matrix.parse([]).kernel == ["5.10", "6.1", "6.12", "6.18", "7.3"]


def test_what_follows_the_dashes_goes_to_pytest() -> None:
    arguments = matrix.parse(["6.1", "-j1", "-k", "rtt and not ipv6", "7.3", "--", "-x", "--lf"])

    command = matrix.vmtest_command("6.1", arguments)

    assert arguments.kernel == ["6.1", "7.3"]
    assert command[-5:] == ["-x", "--lf", "-k", "rtt and not ipv6", "tests/kernel"]
    assert "TCPVITALS_VM=6.1" in command


def test_only_the_short_selection_leaves_tests_out_and_the_oldest_and_newest_leave_out_least() -> (
    None
):
    whole, short = (matrix.parse(words) for words in ([], ["--ci"]))

    words = {kernel: matrix.vmtest_command(kernel, short) for kernel in KERNELS}
    left = {kernel: sum("--deselect" in word for word in words[kernel]) for kernel in KERNELS}
    netlab = "--deselect=tests/kernel/test_netlab.py"
    privileges = "--deselect=tests/kernel/test_privileges.py"
    hostile = "--deselect=tests/kernel/test_hostile_comm.py"

    assert not any("--deselect" in word for word in matrix.vmtest_command("6.1", whole))
    assert max(left["5.10"], left["7.3"]) < left["6.12"] < left["6.1"] < left["6.18"]
    assert [kernel for kernel in KERNELS if netlab not in words[kernel]] == ["6.12"]
    assert [kernel for kernel in KERNELS if privileges not in words[kernel]] == ["5.10", "7.3"]
    assert [kernel for kernel in KERNELS if hostile not in words[kernel]] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.where.name} {rule.file}")
def test_a_rule_of_the_selection_names_tests_that_there_are(rule: Rule) -> None:
    text = (Path(__file__).parents[1] / "kernel" / rule.file).read_text()

    assert rule.reason
    assert [name for name in rule.tests if f"def {name.partition('[')[0]}(" not in text] == []


def test_the_kernels_with_the_most_tests_start_first() -> None:
    assert matrix.in_order(matrix.parse(["--ci"])) == ["7.3", "5.10", "6.12", "6.1", "6.18"]
    assert matrix.in_order(matrix.parse(["6.1", "7.3"])) == ["6.1", "7.3"]


def test_no_count_is_left_out_on_any_kernel() -> None:
    sums = "test_totals_sums.py::test_each_group_has_the_sums_of_its_live_and_its_closed_sockets"
    counts = (
        "test_retrans_identity.py::test_150_short_connections_at_40_percent_loss",
        "test_retrans_identity.py::test_transfers_at_1_percent_loss",
        f"{sums}[with loss]",
        "test_scenarios.py",
        "test_rtt_exact.py",
        "test_rtt_bounds.py",
        "test_events_flood.py::test_events_seen_and_events_lost_are_all_there_were",
    )
    left = [word.rpartition("/")[2] for kernel in KERNELS for word in left_out(kernel)]

    assert [(word, name) for word in left for name in counts if word.startswith(name)] == []
    assert [(word, name) for word in left for name in counts if name.startswith(word)] == []


def test_a_summary_has_the_counts_and_the_verdict() -> None:
    passed = matrix.Result("6.1", 0, "...\n== 3 passed, 1 skipped in 2.00s ==\n", 14.25)
    failed = matrix.Result("5.10", 124, "", 900.0)

    assert passed.summary == "6.1    passed          14.2 s  3 passed, 1 skipped"
    assert failed.summary == "5.10   FAILED (124)   900.0 s  no output"


# --- a guest that ends before its command starts --------------------------------------------------

# In place of qemu: counts its boots, finds the directory it shares with vmtest, and does `then`.
FAKE_QEMU = """\
#!/bin/sh
echo boot >>{log}
number=$(wc -l <{log})
for word in "$@"; do
    case "$word" in
    *id=run,*) shared=${{word#*path=}}; shared=${{shared%%,*}} ;;
    file,id=console,*) echo "Oops: int3: 0000 [#1], boot $number" >"${{word##*path=}}" ;;
    esac
done
{then}
"""
DIES_AT_BOOT = "exit 0"
COMES_UP_AND_SUCCEEDS = "echo up >$shared/boot; echo 0 >$shared/exit; sleep 60"
COMES_UP_AND_DIES = "echo up >$shared/boot; exit 0"
FAILS_ITSELF = "exit 1"


def booted(tmp_path: Path, then: str) -> tuple[int, int]:
    """Run `true` in a guest made up by a script; its status, and how often it was booted."""
    release = tmp_path / "6.1-amd64"
    modules = release / "usr/lib/modules" / release.name
    modules.mkdir(parents=True)
    (modules / "modules.dep").touch()
    log, fake = tmp_path / "boots", tmp_path / "qemu"
    fake.write_text(FAKE_QEMU.format(log=log, then=then))
    fake.chmod(0o755)
    status = guest.run(guest.Run(release, ["true"], qemu=str(fake), timeout_s=30))
    return status, log.read_text().count("boot")


def test_a_guest_that_dies_twice_at_boot_is_booted_a_third_time_and_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    then = f"if [ $number -lt 3 ]; then {DIES_AT_BOOT}; fi; {COMES_UP_AND_SUCCEEDS}"

    assert booted(tmp_path, then) == (0, 3)
    said = capfd.readouterr().err
    assert said.count("6.1-amd64 ended before its command started (Oops: int3") == 2
    assert "vmtest: boot 2 of at most 3\n" in said
    assert "vmtest: boot 3 of at most 3\n" in said


def test_a_guest_that_always_dies_at_boot_fails_after_three_boots(tmp_path: Path) -> None:
    assert booted(tmp_path, DIES_AT_BOOT) == (FAILED_ITSELF, 3)


def test_a_guest_that_dies_after_its_command_started_is_never_booted_again(tmp_path: Path) -> None:
    assert booted(tmp_path, COMES_UP_AND_DIES) == (FAILED_ITSELF, 1)


def test_a_qemu_that_fails_itself_is_not_started_again(tmp_path: Path) -> None:
    assert booted(tmp_path, FAILS_ITSELF) == (FAILED_ITSELF, 1)
