"""The text of full histograms, byte for byte."""

from __future__ import annotations

import io
from functools import partial

import pytest
from test_sink_madeup import first_print, second_print, snapshot, written

from tcpvitals.model.key import Field, Grouping, GroupKey
from tcpvitals.model.measurement import Measurement, Unit
from tcpvitals.sinks.console import LEAST_BLOCK_LINES, ConsoleSink

by_raddr = partial(ConsoleSink, grouping=Grouping((Field.RADDR,)))
WHOLE_HOST = GroupKey()

# 4 * 10 + 7 * 20 = 180: samples that the seed's own sample output may have had.
SEED_SAMPLES = [10] * 4 + [20] * 7

SEED = """\
Key: 127.0.0.1
Latency = 180
Cnt = 11

     (us)                : count    distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 0        |                                        |
         4 -> 7          : 0        |                                        |
         8 -> 15         : 4        |**********************                  |
        16 -> 31         : 7        |****************************************|
p50 20.0 us  p90 20.0 us  p99 20.0 us  max 20.0 us  avg 16.4 us  count 11

"""

MILLISECONDS = """\
Key: whole host
Latency = 72.18
Cnt = 3

     (ms)                : count    distribution
         0 -> 1          : 1        |****************************************|
         2 -> 3          : 1        |****************************************|
         4 -> 7          : 0        |                                        |
         8 -> 15         : 0        |                                        |
        16 -> 31         : 0        |                                        |
        32 -> 63         : 0        |                                        |
        64 -> 127        : 1        |****************************************|
p50 2.50 ms  p90 70.0 ms  p99 70.0 ms  max 70.0 ms  avg 24.1 ms  count 3

"""


def keys(text: str) -> list[str]:
    """Return the keys of the blocks, in the order they are shown."""
    return [line.removeprefix("Key: ") for line in text.splitlines() if line.startswith("Key: ")]


def test_the_seeds_sample_comes_out_in_its_layout_with_right_labels() -> None:
    """Key, sum, count, header and rows are the seed's; unit, labels and last line are right."""
    print_ = first_print(snapshot({"127.0.0.1": SEED_SAMPLES}))

    assert written(partial(by_raddr, extension=True), print_) == SEED


def test_without_the_extension_sum_and_count_are_left_out() -> None:
    """As bcc does; the seed printed zeros."""
    print_ = first_print(snapshot({"127.0.0.1": SEED_SAMPLES}))

    assert written(by_raddr, print_) == SEED.replace("Latency = 180\nCnt = 11\n", "")


def test_the_time_of_day_comes_first() -> None:
    """With -T."""
    print_ = first_print(snapshot({WHOLE_HOST: SEED_SAMPLES}))
    text = written(partial(ConsoleSink, timestamp=True), print_)

    assert text.startswith("12:34:56\nKey: whole host\n\n     (us) ")


def test_milliseconds_are_named_and_sums_keep_their_microseconds() -> None:
    """Buckets are in whole ms as the seed's, sum, maximum and average in ms with a fraction."""
    print_ = first_print(snapshot({WHOLE_HOST: [180, 2_000, 70_000]}, unit=Unit.MS))
    sink = partial(ConsoleSink, measurement=Measurement(unit=Unit.MS), extension=True)

    assert written(sink, print_) == MILLISECONDS


def test_the_largest_value_still_fits_its_column() -> None:
    """The last slot takes all values there are, and says so."""
    text = written(ConsoleSink, first_print(snapshot({WHOLE_HOST: [2**32 - 1]})))

    assert text.splitlines()[-3] == f"  67108864 -> 4294967295 : 1        |{'*' * 40}|"


def test_the_smallest_block_has_the_lines_it_is_said_to_have() -> None:
    """The layout counts on it."""
    text = written(ConsoleSink, first_print(snapshot({WHOLE_HOST: [1]})))

    assert text.count("\n") == LEAST_BLOCK_LINES


def test_the_busiest_recently_comes_first_and_blocks_are_a_blank_line_apart() -> None:
    """A group with little in all, but busy now, precedes one that was busy once."""
    earlier = snapshot({"10.0.0.1": [1] * 99, "10.0.0.2": [1]})
    later = snapshot({"10.0.0.1": [1] * 99, "10.0.0.2": [1] * 2}, seconds=20)
    text = written(by_raddr, second_print(earlier, later, delta=False))

    assert keys(text) == ["10.0.0.2", "10.0.0.1"]
    assert "  count 2\n\nKey: 10.0.0.1\n\n     (us)" in text
    assert text.endswith("  count 99\n\n")


def test_a_delta_shows_the_last_interval_alone() -> None:
    """Groups that were idle in it have no block."""
    earlier = snapshot({"10.0.0.1": [20] * 9, "10.0.0.2": [20]})
    later = snapshot({"10.0.0.1": [20] * 9, "10.0.0.2": [20, 300]}, seconds=20)
    text = written(by_raddr, second_print(earlier, later, delta=True))

    assert keys(text) == ["10.0.0.2"]
    # The bucket is 288..303; the maximum since the start tightens its upper edge to 300.
    assert "\np50 296 us  p90 300 us  p99 300 us  max 300 us  avg 300 us  count 1\n" in text


def test_groups_past_the_top_are_counted() -> None:
    """Nothing is left out silently."""
    groups = {f"10.0.0.{host}": [20] * host for host in range(1, 6)}
    text = written(partial(by_raddr, top=2), first_print(snapshot(groups)))

    assert keys(text) == ["10.0.0.5", "10.0.0.4"]
    assert text.endswith("\n\n... and 3 more groups (--all shows them)\n\n")


def test_what_was_lost_or_belongs_to_no_group_is_said() -> None:
    """One line each, in an order that does not change, and none for zeros."""
    losses = {"recursion": 3, "socket_state": 0, "full": 1}
    print_ = first_print(snapshot({}, other=[5] * 7, retired=[6] * 8, losses=losses))

    assert written(ConsoleSink, print_) == (
        "other: 7 samples past the limit of 64 groups (--max-groups raises it)\n"
        "retired: 8 samples of groups that have long been idle\n"
        "lost: recursion 3, full 1\n"
        "\n"
    )


@pytest.mark.parametrize(
    ("before", "after", "delta", "expected"),
    [
        ([], [], False, "no samples yet\n\n"),
        ([], [], True, "no samples yet\n\n"),
        ([7], [7], True, "no samples in this interval\n\n"),
    ],
)
def test_no_samples_is_said_clearly(
    before: list[int],
    after: list[int],
    delta: bool,  # noqa: FBT001 - pytest passes it by name
    expected: str,
) -> None:
    """Never an empty print, and an idle interval is not a run without samples."""
    later = snapshot({WHOLE_HOST: after}, seconds=20)
    print_ = second_print(snapshot({WHOLE_HOST: before}), later, delta=delta)

    assert written(ConsoleSink, print_) == expected


def test_a_namespaces_name_cannot_drive_the_terminal() -> None:
    """Names under /run/netns are chosen by others."""
    print_ = first_print(snapshot({GroupKey(netns=5): [1]}), netns_names={5: "x\x1b[2J\n"})
    text = written(partial(ConsoleSink, grouping=Grouping((Field.NETNS,))), print_)

    assert text.startswith("Key: x\\x1b[2J\\x0a\n")


def test_a_full_disk_is_the_commands_business() -> None:
    """An error of the stream comes through as it is."""

    class FullDisk(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        ConsoleSink(stream=FullDisk()).show(first_print(snapshot({})))
