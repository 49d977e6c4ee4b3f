"""A metric family and its figures, and the same as an object of prometheus_client.

Figures are a matrix: a row for each label set, a column for each of the lines that a label set has
in this family: one for a counter, one for each cause, one for each bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

from tcpvitals.sinks.prometheus.labels import NO_LABELS, Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tcpvitals.model.histogram import Floats

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "info"]


@dataclass(frozen=True, slots=True)
class Line:
    """One of the lines of a label set: the name's ending, and one more label unless it is "".

    All lines of a family that have one more label have the same one.
    """

    suffix: str
    extra: str = ""
    value: str = ""


# What the samples of a family of one line are called.
_SUFFIXES: Final[Mapping[Kind, str]] = {"counter": "_total", "gauge": "", "info": "_info"}


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family; `name` is without the ending that counters and infos have."""

    name: str
    kind: Kind
    documentation: str
    unit: str = ""
    lines: tuple[Line, ...] = ()

    def each(self) -> tuple[Line, ...]:
        """The lines of one label set, in order."""
        return self.lines or (Line(_SUFFIXES[self.kind]),)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The figures of a family: `values` float[R, L], for R label sets and the family's L lines."""

    family: Family
    labels: Sequence[Labels]
    values: Floats

    def metric(self) -> Metric:
        """Return it as prometheus_client has it."""
        family = self.family
        metric = Metric(family.name, family.documentation, family.kind, family.unit)
        for labels, row in zip(self.labels, self.values.tolist(), strict=True):
            for line, value in zip(family.each(), row, strict=True):
                pairs = dict(labels.pairs)
                if line.extra:
                    pairs[line.extra] = line.value
                metric.add_sample(family.name + line.suffix, pairs, value)
        return metric


def number_text(number: float) -> str:
    """Return a number as Go writes it: "1.0", "6.3e-05", "1.5e+06"."""
    return str(floatToGoString(number))  # type: ignore[no-untyped-call]


def column(family: Family, labels: Sequence[Labels], values: Iterable[float]) -> Table:
    """Return the table of a family with one line for each label set."""
    return Table(family, labels, np.array(list(values), np.float64).reshape(-1, 1))


def rows(family: Family, values: Mapping[Labels, float]) -> Table:
    """Return the table of a family with one line, by label set."""
    return column(family, list(values), values.values())


def single(family: Family, value: float) -> Table:
    """Return the table of a family with a single series."""
    return column(family, [NO_LABELS], [value])
