"""Facts that are read: the same files with other contents, and what becomes of them."""

from __future__ import annotations

import errno
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from tcpvitals.kernel import host
from tcpvitals.kernel.facts import Answer, Question

CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF = 1 << 21, 1 << 38, 1 << 39
INITIAL = "         0          0 4294967295\n"
REMEDY = "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"


@pytest.fixture
def paths(tmp_path: Path) -> host.Paths:
    """Return the paths of a host that has everything."""
    btf = tmp_path / "sys/kernel/btf/vmlinux"
    btf.parent.mkdir(parents=True)
    files = {
        "btf": btf,
        "lockdown": tmp_path / "lockdown",
        "status": tmp_path / "status",
        "uid_map": tmp_path / "uid_map",
        "possible_cpus": tmp_path / "possible",
    }
    btf.write_bytes(b"\x9f\xeb")
    files["lockdown"].write_text("[none] integrity confidentiality\n")
    write_capabilities(files["status"], CAP_BPF | CAP_PERFMON)
    files["uid_map"].write_text(INITIAL)
    files["possible_cpus"].write_text("0-3\n")
    return host.Paths(**files)


def write_capabilities(status: Path, effective: int) -> None:
    """Write /proc/self/status as a process with these capabilities sees it."""
    every = (1 << 41) - 1
    status.write_text(
        f"Name:\tpython\nCapInh:\t{0:016x}\nCapPrm:\t{every:016x}\nCapEff:\t{effective:016x}\n"
        f"CapBnd:\t{every:016x}\nCapAmb:\t{0:016x}\nNoNewPrivs:\t0\n"
    )


# --- the kernel's version ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("5.10.0-28-amd64", (5, 10)),
        ("6.1.0-13-cloud-arm64", (6, 1)),
        ("6.18.44-fc-v595", (6, 18)),
        ("7.3-rc1", (7, 3)),
        ("5.15.153.1-microsoft-standard-WSL2", (5, 15)),
        ("4.18.0-553.el8_10.x86_64", (4, 18)),
        ("10.0", (10, 0)),
        ("6.12+", (6, 12)),
        ("v6.1", None),
        ("linux", None),
        ("6", None),
        ("", None),
    ],
)
def test_a_release_begins_with_two_numbers_or_says_nothing(
    release: str, version: tuple[int, int] | None
) -> None:
    assert host.release_version(release) == version


@pytest.mark.parametrize(
    ("release", "answer"),
    [
        ("5.7.19", Answer.NO),
        ("5.8.0", Answer.YES),
        ("5.10.0", Answer.YES),
        ("4.19.0", Answer.NO),
        ("10.0.0", Answer.YES),
        ("odd", Answer.UNKNOWN),
    ],
)
def test_kernels_are_compared_by_number_and_not_by_letter(release: str, answer: Answer) -> None:
    fact = host.kernel_fact(release)
    assert (fact.answer, fact.seen) == (answer, release)


@pytest.mark.parametrize(
    ("release", "answer"),
    [("6.1.0", Answer.NO), ("6.2.0", Answer.YES), ("7.0", Answer.YES), ("odd", Answer.UNKNOWN)],
)
def test_programs_are_known_to_be_guarded_since_6_2(release: str, answer: Answer) -> None:
    assert host.guard_fact(release).answer is answer


# --- /proc -------------------------------------------------------------------------------


def test_proc_that_is_not_mounted_is_a_no_that_says_how_to_mount_it(paths: host.Paths) -> None:
    assert host.proc_fact(paths.status).answer is Answer.YES
    paths.status.unlink()
    fact = host.proc_fact(paths.status)
    assert (fact.answer, fact.seen) == (Answer.NO, f"no {paths.status}")
    assert fact.remedy == "mount -t proc proc /proc"


# --- BTF and lockdown --------------------------------------------------------------------


def test_btf_that_is_there_is_a_yes(paths: host.Paths) -> None:
    fact = host.btf_fact(paths.btf)
    assert (fact.answer, fact.seen) == (Answer.YES, str(paths.btf))


def test_hidden_btf_is_a_no_that_names_the_build_option(paths: host.Paths) -> None:
    paths.btf.unlink()
    fact = host.btf_fact(paths.btf)
    assert (fact.answer, fact.seen) == (Answer.NO, f"no {paths.btf}")
    assert "CONFIG_DEBUG_INFO_BTF=y" in fact.remedy


def test_without_sysfs_the_kernel_is_not_blamed(tmp_path: Path) -> None:
    fact = host.btf_fact(tmp_path / "sys/kernel/btf/vmlinux")
    assert (fact.answer, fact.remedy) == (Answer.NO, "mount sysfs on /sys")


@pytest.mark.parametrize(
    ("modes", "answer", "seen"),
    [
        ("[none] integrity confidentiality\n", Answer.YES, "lockdown=none"),
        ("none [integrity] confidentiality\n", Answer.YES, "lockdown=integrity"),
        ("none integrity [confidentiality]\n", Answer.UNKNOWN, "lockdown=confidentiality"),
        ("none integrity [yet_unheard_of]\n", Answer.UNKNOWN, "lockdown=yet_unheard_of"),
        ("nonsense\n", Answer.UNKNOWN, "nonsense"),
    ],
)
def test_lockdown_allows_us_up_to_integrity_and_beyond_that_only_trying_tells(
    paths: host.Paths, modes: str, answer: Answer, seen: str
) -> None:
    paths.lockdown.write_text(modes)
    fact = host.lockdown_fact(paths.lockdown)
    assert (fact.answer, fact.seen) == (answer, seen)


def test_a_kernel_without_lockdown_is_one_that_could_not_be_told(paths: host.Paths) -> None:
    paths.lockdown.unlink()
    fact = host.lockdown_fact(paths.lockdown)
    assert (fact.answer, fact.seen) == (
        Answer.UNKNOWN,
        f"{paths.lockdown}: No such file or directory",
    )


# --- privileges --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effective", "seen"),
    [
        (0, "without CAP_BPF and CAP_PERFMON"),
        (CAP_BPF, "without CAP_PERFMON"),
        (CAP_PERFMON, "without CAP_BPF"),
        (((1 << 41) - 1) & ~(CAP_SYS_ADMIN | CAP_BPF), "without CAP_BPF"),
    ],
)
def test_each_missing_capability_is_named(paths: host.Paths, effective: int, seen: str) -> None:
    write_capabilities(paths.status, effective)
    fact = host.privileges_fact(paths)
    assert (fact.answer, fact.seen, fact.remedy) == (Answer.NO, seen, REMEDY)


@pytest.mark.parametrize("effective", [CAP_BPF | CAP_PERFMON, CAP_SYS_ADMIN, (1 << 41) - 1])
def test_the_two_capabilities_or_the_old_one_that_held_both_are_enough(
    paths: host.Paths, effective: int
) -> None:
    write_capabilities(paths.status, effective)
    assert host.privileges_fact(paths).answer is Answer.YES


@pytest.mark.parametrize("uid_map", ["0 1000 1\n", "0 0 65536\n", "0 100000 65536\n", ""])
def test_capabilities_in_a_user_namespace_are_worth_nothing(
    paths: host.Paths, uid_map: str
) -> None:
    paths.uid_map.write_text(uid_map)
    fact = host.privileges_fact(paths)
    assert (fact.answer, fact.seen) == (Answer.NO, "only in a user namespace of its own")
    assert "container" in fact.remedy


@pytest.mark.parametrize("gone", ["status", "uid_map"])
def test_without_proc_nobody_can_tell_the_privileges(paths: host.Paths, gone: str) -> None:
    getattr(paths, gone).unlink()
    assert host.privileges_fact(paths).answer is Answer.UNKNOWN


def test_a_status_without_capabilities_tells_nothing(paths: host.Paths) -> None:
    paths.status.write_text("Name:\tpython\n")
    assert host.privileges_fact(paths).answer is Answer.UNKNOWN


# --- memory, CPUs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "limits", "may_raise", "answer"),
    [
        ("5.10.0", (65536, 65536), False, Answer.NO),
        ("5.10.0", (65536, 65536), True, Answer.YES),
        ("5.10.0", (65536, 1 << 30), False, Answer.YES),
        ("5.10.0", (65536, resource.RLIM_INFINITY), False, Answer.YES),
        ("odd", (65536, 65536), False, Answer.NO),
        ("5.11.0", (0, 0), False, Answer.YES),
    ],
)
def test_locked_memory_limits_maps_until_5_11_unless_we_may_raise_it(
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    limits: tuple[int, int],
    may_raise: bool,  # noqa: FBT001 - a column of the table
    answer: Answer,
) -> None:
    def set_limit(_what: int, _limits: tuple[int, int]) -> None:
        if not may_raise:
            raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    fact = host.memlock_fact(release)
    assert fact.answer is answer
    if answer is Answer.NO:
        assert fact.seen == "RLIMIT_MEMLOCK is 64 KiB, maps need up to 256 MiB"
        assert "ulimit -l unlimited" in fact.remedy


@pytest.mark.parametrize(("allowed", "answer"), [(131, Answer.YES), (130, Answer.NO)])
def test_what_is_open_already_takes_from_what_may_be_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, allowed: int, answer: Answer
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, 4096))
    for number in range(3):
        (tmp_path / str(number)).touch()
    fact = host.open_files_fact(tmp_path)
    assert (fact.answer, fact.seen) == (answer, f"{allowed - 3} may be opened")
    assert "ulimit -n 1024" in fact.remedy


def test_where_not_even_the_list_can_be_opened_no_file_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "iterdir", refuse)
    fact = host.open_files_fact(tmp_path)
    assert (fact.answer, fact.seen) == (Answer.NO, "0 may be opened")


def test_without_proc_nobody_can_tell_how_many_files_are_open(tmp_path: Path) -> None:
    assert host.open_files_fact(tmp_path / "nowhere").answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("listed", "cpus"), [("0\n", 1), ("0-1\n", 2), ("0-3,8\n", 9), ("0-3,8-11\n", 12), ("0,2,4", 5)]
)
def test_cpu_numbers_may_have_gaps(paths: host.Paths, listed: str, cpus: int) -> None:
    paths.possible_cpus.write_text(listed)
    assert host.highest_cpu(paths.possible_cpus) == cpus


def test_cpus_that_cannot_be_listed_are_not_guessed(paths: host.Paths) -> None:
    paths.possible_cpus.write_text("\n")
    assert host.highest_cpu(paths.possible_cpus) == 0
    paths.possible_cpus.unlink()
    assert host.highest_cpu(paths.possible_cpus) == 0


def test_reading_answers_every_question_that_needs_no_loading(paths: host.Paths) -> None:
    write_capabilities(paths.status, 0)
    facts = host.readable_facts("6.12.0", replace(paths, lockdown=Path("/nonexistent")))
    assert {question: fact.answer for question, fact in facts.items()} == {
        Question.PROC: Answer.YES,
        Question.KERNEL: Answer.YES,
        Question.BTF: Answer.YES,
        Question.LIBBPF: Answer.YES,
        Question.PRIVILEGES: Answer.NO,
        Question.LOCKDOWN: Answer.UNKNOWN,
        Question.MEMLOCK: Answer.YES,
        Question.OPEN_FILES: Answer.YES,
        Question.GUARD: Answer.YES,
    }
