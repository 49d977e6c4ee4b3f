"""What the exporter says of itself: its build, what it lost, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.sinks.prometheus.labels import Labels
from tcpvitals.sinks.prometheus.table import Family, Table, rows, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.model.vitals import ProgramRuns, VitalsSnapshot

_NS: Final = 1e9

BUILD: Final = Family(
    "tcpvitals_build", "info", "The version, the running kernel, and the hook that is used."
)
STARTED: Final = Family(
    "tcpvitals_start_time_seconds", "gauge", "When counting began, in Unix time.", "seconds"
)
LOST: Final = Family(
    "tcpvitals_lost", "counter", "What was not counted or not told, by where it was lost."
)
GROUPS: Final = Family("tcpvitals_groups", "gauge", "Groups that have counters of their own.")
GROUPS_LIMIT: Final = Family("tcpvitals_groups_limit", "gauge", "How many groups there may be.")
OTHER_SAMPLES: Final = Family(
    "tcpvitals_other_samples",
    "counter",
    "Samples, in all histograms that are exposed, of groups past the limit.",
)
RUNS: Final = Family("tcpvitals_bpf_runs", "counter", "Runs of each BPF program.")
RUN_TIME: Final = Family(
    "tcpvitals_bpf_run_seconds", "counter", "Time spent in each BPF program.", "seconds"
)
SKIPPED: Final = Family(
    "tcpvitals_bpf_skipped_runs",
    "counter",
    "Runs of each BPF program that the kernel skipped, as it would have interrupted itself.",
)
REFRESH: Final = Family(
    "tcpvitals_refresh_duration_seconds", "gauge", "How long reading the counters took.", "seconds"
)
RENDER: Final = Family(
    "tcpvitals_render_duration_seconds",
    "gauge",
    "How long writing took for the scrape before this one.",
    "seconds",
)
REFRESHED: Final = Family(
    "tcpvitals_refresh_timestamp_seconds",
    "gauge",
    "When the counters were read, in Unix time.",
    "seconds",
)


def build(version: str, kernel: str, attach: str) -> Table:
    """Return what runs here."""
    values = {"version": version, "kernel": kernel, "attach": attach}
    return rows(BUILD, {Labels.of(values.items()): 1.0})


def tables(snapshot: VitalsSnapshot, unix_time: Callable[[int], float]) -> Iterator[Table]:
    """Return what a snapshot says of the exporter; `unix_time` (s) of boot time (ns)."""
    yield single(STARTED, unix_time(snapshot.start_ns))
    yield single(REFRESHED, unix_time(snapshot.taken_ns))
    yield single(REFRESH, snapshot.took_s)
    yield rows(LOST, {Labels.of([("stage", at)]): n for at, n in snapshot.losses.items()})
    yield single(GROUPS, len(snapshot.keys))
    yield single(GROUPS_LIMIT, snapshot.groups_limit)
    others = snapshot.other.histograms.values()
    yield single(OTHER_SAMPLES, sum(one.count for one in others))
    yield from _programs(snapshot.programs)


def rendered(seconds: float | None) -> Iterator[Table]:
    """Return how long the scrape before this one took to write, if there was one."""
    if seconds is not None:
        yield single(RENDER, seconds)


def _programs(programs: tuple[ProgramRuns, ...]) -> Iterator[Table]:
    labels = {one.name: Labels.of([("program", one.name)]) for one in programs}
    # The kernel keeps these only where kernel.bpf_stats_enabled says so.
    kept = [one for one in programs if one.runs]
    yield rows(RUNS, {labels[one.name]: one.runs for one in kept})
    yield rows(RUN_TIME, {labels[one.name]: one.run_ns / _NS for one in kept})
    yield rows(SKIPPED, {labels[one.name]: one.skipped for one in programs})
