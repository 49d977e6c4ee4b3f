"""What scrapers get, how often it is made, and that the official tools like it."""

from __future__ import annotations

import gzip
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prometheus_madeup import (
    CLASSIC,
    OPENMETRICS,
    SENT,
    SMALL,
    edges,
    families,
    flow,
    flows,
    full,
    many,
    options,
    series,
    shown,
    snapshot,
    summed,
    total,
)
from promtool import promtool

from tcpvitals.model.measurement import USUAL_HISTOGRAMS
from tcpvitals.sinks.prometheus import Exposition, usual_edges
from tcpvitals.sinks.prometheus.page import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).parent / "golden/metrics.txt"
BOTH = pytest.mark.parametrize("accept", [CLASSIC, OPENMETRICS])
NETNS = "tcpvitals_kernel_counts_total"


def ticking() -> Callable[[], float]:
    """Return a clock on which everything takes half a second."""
    now = iter(range(1000))
    return lambda: next(now) / 2


def second_scrape() -> Exposition:
    """Return an exposition that has been scraped once, and has a second snapshot to show."""
    exposition = Exposition(options(), clock=ticking())
    exposition.show(full())
    exposition.render(CLASSIC, gzip=False)
    exposition.show(full())
    return exposition


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return the formats in which text was written, in order."""
    found: list[bool] = []
    write = Page._written  # noqa: SLF001 - to count how often it is done

    def counting(page: Page, *, in_openmetrics: bool) -> Iterator[bytes]:
        found.append(in_openmetrics)
        return write(page, in_openmetrics=in_openmetrics)

    monkeypatch.setattr(Page, "_written", counting)
    return found


def test_the_exposition_is_as_it_was() -> None:
    """A change of the golden file is a change for everyone's dashboards.

    What the process says of itself differs from run to run, and is left out.
    """
    ours, _, process = shown(second_scrape()).partition("# HELP process_")

    assert ours == GOLDEN.read_text()
    assert process


def test_both_formats_say_the_same() -> None:
    exposition = second_scrape()

    classic, openmetrics = shown(exposition), shown(exposition, OPENMETRICS)

    assert openmetrics.endswith("\n# EOF\n")
    assert series(classic) == series(openmetrics)


def test_promtool_has_nothing_to_complain_of() -> None:
    text = shown(second_scrape())

    done = subprocess.run(
        [promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@BOTH
def test_every_family_has_a_type_and_help_and_its_unit_last(accept: str) -> None:
    for metric in families(shown(second_scrape(), accept)):
        assert metric.documentation
        assert metric.type != "unknown"
        assert not metric.unit or metric.name.endswith(f"_{metric.unit}")


def test_a_snapshot_is_written_once_for_each_format(written: list[bool]) -> None:
    exposition = Exposition(options())
    for _ in range(2):
        exposition.show(full())
        for accept in (CLASSIC, OPENMETRICS, "*/*", CLASSIC):
            for compressed in (True, False):
                exposition.render(accept, gzip=compressed)

    assert written == [False, True, False, True]


def test_many_scrapers_at_once_have_it_written_once(written: list[bool]) -> None:
    exposition = Exposition(options())
    exposition.show(many(50))
    bodies: list[bytes] = []
    ready = threading.Barrier(8)

    def scrape() -> None:
        ready.wait()
        bodies.append(exposition.render(CLASSIC, gzip=True)[1])

    threads = [threading.Thread(target=scrape) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert written == [False]
    assert bodies == bodies[:1] * 8


def test_what_is_finished_is_had_without_waiting_as_long_as_it_is_the_newest() -> None:
    exposition = Exposition(options())
    assert exposition.finished(CLASSIC, gzip=False, previous=True) is None
    exposition.show(full())
    assert exposition.finished(CLASSIC, gzip=False, previous=True) is None
    rendered = exposition.render(CLASSIC, gzip=False)
    assert exposition.finished(CLASSIC, gzip=False, previous=False) == rendered
    assert exposition.finished(CLASSIC, gzip=True, previous=False) is None
    assert exposition.finished(OPENMETRICS, gzip=False, previous=False) is None
    exposition.show(full())
    assert exposition.finished(CLASSIC, gzip=False, previous=False) is None
    assert exposition.finished(CLASSIC, gzip=False, previous=True) == rendered
    exposition.show(full())
    assert exposition.finished(CLASSIC, gzip=False, previous=True) is None


def test_nothing_is_written_that_nobody_asks_for(written: list[bool]) -> None:
    exposition = Exposition(options())
    for _ in range(3):
        exposition.show(full())

    assert written == []


def test_showing_does_not_wait_for_a_scraper() -> None:
    exposition = Exposition(options())
    exposition.show(snapshot({}))
    with exposition._lock:  # noqa: SLF001 - as a slow scraper would
        exposition.show(full())

    assert summed(shown(exposition), "tcpvitals_groups") == 2


def test_the_newest_snapshot_is_shown() -> None:
    exposition = Exposition(options())
    for segments in (1, 2, 3):
        counts = {"segments_sent": segments}
        exposition.show(snapshot({1: (SMALL[1 << 32][0], counts, ())}))

    assert summed(shown(exposition), "tcpvitals_sent_segments_total") == 3


@BOTH
def test_compressed_it_is_the_same_text_and_the_same_bytes_each_time(accept: str) -> None:
    exposition = second_scrape()

    kind, plain = exposition.render(accept, gzip=False)
    kind_too, compressed = exposition.render(accept, gzip=True)

    assert kind == kind_too
    assert gzip.decompress(compressed) == plain
    assert len(compressed) < len(plain) / 5
    # The time in a gzip header would make each answer another one.
    assert compressed[4:8] == bytes(4)


def test_how_long_the_scrape_before_took_is_shown() -> None:
    exposition = Exposition(options(), clock=ticking())
    exposition.show(full())
    first = shown(exposition)
    exposition.show(full())
    second = shown(exposition)

    assert "tcpvitals_render_duration_seconds" not in first
    assert summed(second, "tcpvitals_render_duration_seconds") == 0.5


@BOTH
def test_before_the_first_snapshot_there_is_only_the_process(accept: str) -> None:
    text = shown(Exposition(options()), accept)

    names = {name for name, _ in series(text)}
    assert "tcpvitals_build_info" in names
    assert all(name.startswith("process_") for name in names - {"tcpvitals_build_info"})


def test_nothing_but_a_build_and_sums_is_said_of_an_empty_host() -> None:
    exposition = Exposition(options())
    exposition.show(snapshot({}))

    found = series(shown(exposition))

    assert {value for (name, _), value in found.items() if name.endswith("segments_total")} == {0}


def test_other_edges_and_fewer_flows_are_shown_at_once_and_all_else_goes_on() -> None:
    exposition = Exposition(options())
    exposition.show(full())
    before = series(shown(exposition))

    exposition.change(edges(0.001, 0.1), flows_shown=1)
    after = series(shown(exposition))

    shown_edges = {dict(pairs).get("le") for _, pairs in after} - {None}
    assert shown_edges == {"0.000991", "0.098303", "+Inf"}
    assert sum("tcp_retransmissions_total" in name for name, _ in after) == 3
    counts = [one for one in before if one[0].endswith(("_count", "_sum", "segments_total"))]
    assert len(counts) > 20
    assert all(after[one] == before[one] for one in counts)


def test_a_change_of_nothing_changes_nothing() -> None:
    exposition = Exposition(options())
    back = snapshot({2: SMALL[1 << 32]}, retired=total(SENT, [9]))
    for one in (snapshot({1: SMALL[1 << 32]}), back):
        exposition.show(one)
        before = (
            shown(exposition).partition("# HELP tcpvitals_rtt_seconds")[2].partition("process_")[0]
        )
    exposition.change(usual_edges(USUAL_HISTOGRAMS), flows_shown=500)

    after = shown(exposition).partition("# HELP tcpvitals_rtt_seconds")[2].partition("process_")[0]
    assert after == before


def test_flows_stay_within_their_cap_and_add_up() -> None:
    exposition = Exposition(options(flows_shown=10))
    kernel = {number: (flow(number), number) for number in range(1, 101)}
    exposition.show(snapshot({}, flows=flows(kernel, other=1000, retired=7)))

    found = [value for (name, _), value in series(shown(exposition)).items() if "tcp_retr" in name]

    assert len(found) == 12
    assert sum(found) == 5050 + 1007


def test_without_flows_there_is_no_series_of_them() -> None:
    exposition = Exposition(options())
    exposition.show(snapshot(SMALL))

    assert "tcp_retransmissions" not in shown(exposition)
    assert "tcpvitals_flows" not in shown(exposition)


def test_a_namespace_that_is_gone_has_no_series() -> None:
    exposition, before = Exposition(options()), full()
    exposition.show(replace(before, namespaces=(), kernel={}))

    text = shown(exposition)
    assert NETNS not in text
    assert "tcpvitals_kernel_unexplained" not in text


def test_five_hundred_groups_are_all_written() -> None:
    """No counter is lost on the way, and there are no more lines than docs/metrics.md says."""
    exposition = Exposition(options())
    groups = many(500)
    exposition.show(groups)

    text = shown(exposition)

    sent = groups.table.totals.column("segments_sent").astype(np.float64)
    assert summed(text, "tcpvitals_sent_segments_total") == sent.sum()
    assert text.count("\n") < 500 * (3 * 22 + 19) + 250
