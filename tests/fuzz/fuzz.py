"""`make fuzz`: tries inputs for so many seconds, and prints what was tried and what failed.

Ends with status 1 if anything failed; each failure is printed with the command that repeats it.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from targets import all_targets
from trial import tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trial import Failure, Target

_ROUNDS: Final = 20


def main() -> int:
    """Fuzz, or repeat one input."""
    given = _arguments()
    targets = {target.name: target for target in all_targets()}
    if given.repeat:
        return _repeat(targets[given.repeat[0]], base64.b64decode(given.repeat[1]))
    return fuzz(list(targets.values()), given.seed, given.seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="default: the time")
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "BASE64"), help="one input again")
    return parser.parse_args()


def _repeat(target: Target, data: bytes) -> int:
    failure = tried(target, data)
    print(f"{failure.what}: {failure.said}" if failure else "no failure", flush=True)
    return 1 if failure else 0


def fuzz(targets: Sequence[Target], seed: int, seconds: float) -> int:
    """Try inputs, every target in turn; the exit status."""
    print(f"seed {seed}, {seconds:g} s, {len(targets)} targets", flush=True)
    inputs = {each.name: each.inputs(seed) for each in targets}
    counts: Counter[str] = Counter()
    failures: Counter[Failure] = Counter()
    for _ in range(_ROUNDS):
        for target in targets:
            end_s = time.monotonic() + seconds / _ROUNDS / len(targets)
            for data in inputs[target.name]:
                counts[target.name] += 1
                failure = tried(target, data)
                if failure:
                    _note(failure, failures)
                if time.monotonic() >= end_s:
                    break
    for name, count in counts.items():
        failed = sum(times for one, times in failures.items() if one.target == name)
        print(f"{name:<24} {count:>10} inputs {failed:>6} failed")
    print(f"{'all':<24} {counts.total():>10} inputs {failures.total():>6} failed", flush=True)
    return 1 if failures else 0


def _note(failure: Failure, failures: Counter[Failure]) -> None:
    """Print a failure the first time."""
    if failure not in failures:
        encoded = base64.b64encode(failure.data).decode()
        print(f"FAILED {failure.target}: {failure.what}: {failure.said}")
        print(f"  repeat: {sys.argv[0]} --repeat '{failure.target}' '{encoded}'", flush=True)
    failures[failure] += 1


if __name__ == "__main__":
    sys.exit(main())
