"""One input tried: it may end in an error of our own, in one printable line, and in good time."""

from __future__ import annotations

import contextlib
import math
import signal
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mutation import mutations

from tcpvitals.errors import TcpvitalsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

MOST_CPU_S: Final = 0.05
ENDLESS_CPU_S: Final = 10.0
_REPETITIONS: Final = 5
_BEYOND_DOUBT: Final = 20
_KEPT: Final = 120


@dataclass(frozen=True)
class Target:
    """Something that reads input from outside.

    Args:
        name: what `make fuzz` calls it.
        read: reads one input; raises nothing but TcpvitalsError.
        corpus: good inputs.
        tokens: words that mean something in an input.
        most_bytes: the longest input that can reach it.
    """

    name: str
    read: Callable[[bytes], object]
    corpus: Sequence[bytes]
    tokens: Sequence[bytes] = ()
    most_bytes: int = 16 * 1024

    def inputs(self, seed: int) -> Iterator[bytes]:
        """Make inputs without end."""
        return mutations(seed, self.corpus, self.tokens, self.most_bytes)


@dataclass(frozen=True)
class Failure:
    """What went wrong and where, and for which input; the same at the same place is one defect."""

    target: str
    what: str
    said: str = field(compare=False)
    data: bytes = field(compare=False)


class _EndlessError(BaseException):
    """No exception that a reader may catch by accident."""


@contextlib.contextmanager
def _ended_after(cpu_s: float) -> Iterator[None]:
    """End the block after so much CPU time.

    Raises:
        _EndlessError: it had to be ended.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _EndlessError

    before = signal.signal(signal.SIGVTALRM, end)
    # Again and again: an exception that comes while another one is handled can be lost.
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def fault(target: Target, data: bytes, endless_s: float = ENDLESS_CPU_S) -> Failure | None:
    """Return the failure of an input; None if it is read or refused as it should be.

    Whatever takes so much CPU time is taken to go on for ever.
    """
    try:
        with _ended_after(endless_s):
            target.read(data)
    except _EndlessError as error:
        return Failure(target.name, f"endless {_place(error)}", f"after {endless_s:g} s", data)
    except TcpvitalsError as error:
        said = str(error)
        if not said.isprintable():
            return Failure(target.name, "not a printable line", ascii(said[:_KEPT]), data)
    except Exception as error:  # noqa: BLE001 - any other is what is looked for
        what = f"{type(error).__name__} {_place(error)}"
        return Failure(target.name, what, ascii(str(error)[:_KEPT]), data)
    return None


def slowness(target: Target, data: bytes, most_s: float = MOST_CPU_S) -> Failure | None:
    """Return the failure of an input that takes too much CPU time.

    The best of several repetitions counts, so that nothing else on the machine does; what takes
    twenty times as much is not repeated.
    """
    best_s = math.inf
    for _ in range(_REPETITIONS):
        best_s = min(best_s, _cpu_s(target, data))
        if best_s <= most_s:
            return None
        if best_s > most_s * _BEYOND_DOUBT:
            break
    what = f"more than {most_s * 1000:.0f} ms of CPU time"
    return Failure(target.name, what, f"{best_s * 1000:.0f} ms", data)


def _place(error: BaseException) -> str:
    """Where in the project it was raised, or came from."""
    every = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in every if frame.filename != __file__]
    ours = [frame for frame in frames if "tcpvitals" in frame.filename] or frames
    return f"in {ours[-1].name}, {ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}"


def tried(target: Target, data: bytes) -> Failure | None:
    """Return the failure of an input, of either kind."""
    began_s = time.process_time()
    failure = fault(target, data)
    if failure is None and time.process_time() - began_s > MOST_CPU_S:
        return slowness(target, data)
    return failure


def _cpu_s(target: Target, data: bytes) -> float:
    began_s = time.process_time()
    fault(target, data)
    return time.process_time() - began_s
