"""Charts that a probe shows in TensorBoard's Custom Scalars, where runs overlay.

Plain data: `records.tensorboard` turns it into TensorBoard's own format.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class BandChart:
    """A band between the curves `TAG/low` and `TAG/high` around `TAG/median`."""

    title: str
    tag: str


@dataclasses.dataclass(frozen=True)
class LineChart:
    """One line per tag that matches the regular expression `tags`."""

    title: str
    tags: str


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """Charts under one title."""

    title: str
    charts: Sequence[BandChart | LineChart]
