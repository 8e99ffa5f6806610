"""Series while functions work on them, and how they get a common step and few points."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from deployer.model.graphite.aggregates import Aggregate, aggregate_of, present
from deployer.model.graphite.problems import TooMuchError
from deployer.model.series import Series, split

MAX_POINTS: Final = 11_000
"""Of one series in an answer, and as it is read."""
MAX_LINES: Final = 10_000
MAX_NAME_CHARS: Final = 2000

Values = list[float | None]


class Line(Struct, frozen=True):
    """A series in the making: `name` is what it is called, `path` the expression that it came from."""

    name: str
    start: int
    step: int
    values: Values
    path: str
    tags: dict[str, str]
    how: str = "average"

    @property
    def end(self) -> int:
        """The first moment after the last point."""
        return self.start + self.step * len(self.values)

    def made(self, name: str, values: Values) -> "Line":
        """What a function has made of it, point by point."""
        return replace(self, name=name, path=name, values=values)

    def called(self, name: str) -> "Line":
        """With another name."""
        return replace(self, name=name)


Lines = list[Line]


class Grid(Struct, frozen=True):
    """Lines with the same moments: `rows[i]` are the values of line i."""

    start: int
    step: int
    rows: list[Values]

    @property
    def columns(self) -> Iterable[tuple[float | None, ...]]:
        """The values of each moment."""
        return zip(*self.rows, strict=True)


def line_of(series: Series, path: str) -> Line:
    """A series as it was read for an expression."""
    name, tags = split(series.name)
    return Line(series.name, series.start, series.step, series.values, path, {**tags, "name": name}, series.how)


def grid(lines: Sequence[Line]) -> Grid:
    """Bring lines to the lowest common multiple of their steps, each reduced in its own way; gaps are None."""
    one = lines[0]
    shape = (one.start, one.step, len(one.values))
    if all((line.start, line.step, len(line.values)) == shape for line in lines):
        return Grid(one.start, one.step, [line.values for line in lines])
    step = math.lcm(*(line.step for line in lines))
    start = min(line.start for line in lines) // step * step
    count = -(-(max(line.end for line in lines) - start) // step)
    require_points(count)
    return Grid(start, step, [_placed(line, start, step, count) for line in lines])


def reduced(line: Line, step: int, aggregate: Aggregate | None = None) -> Line:
    """A line in wider steps, which are multiples of its own and begin at multiples of themselves."""
    width = step // line.step
    lead = (line.start % step) // line.step
    start = line.start - line.start % step
    return replace(
        line, start=start, step=step, values=chunked(line.values, width, lead, aggregate or aggregate_of(line.how))
    )


def chunked(values: Values, width: int, lead: int, aggregate: Aggregate) -> Values:
    """So many values become one; the first chunk lacks `lead` of them."""
    made: Values = []
    for begin in range(-lead, len(values), width):
        chunk = values[max(0, begin) : begin + width]
        there = present(chunk) if None in chunk else chunk
        made.append(aggregate(there) if there else None)  # type: ignore[arg-type]  # no None is left
    return made


def thinned(line: Line, most: int) -> Line:
    """A line with at most so many points: what `maxDataPoints` asks for."""
    if len(line.values) <= most:
        return line
    width = -(-len(line.values) // most)
    lead = (line.start // line.step) % width
    while -(-(len(line.values) + lead) // width) > most:
        width += 1
        lead = (line.start // line.step) % width if most > 1 else 0
    start = line.start - lead * line.step
    values = chunked(line.values, width, lead, aggregate_of(line.how))
    return replace(line, start=start, step=width * line.step, values=values)


def require_points(count: int) -> None:
    """TooMuchError when a series would have more points than it may."""
    if count > MAX_POINTS:
        raise TooMuchError(f"a series would have {count} points, more than {MAX_POINTS}: ask for longer steps")


def joined(lines: Iterable[Line]) -> str:
    """The expressions of lines, for the name of what is made of them."""
    text = ",".join(sorted({line.path for line in lines}))
    return text if len(text) <= MAX_NAME_CHARS else text[:MAX_NAME_CHARS] + "..."


def common_tags(lines: Sequence[Line]) -> dict[str, str]:
    """Tags that all lines have alike."""
    tags = dict(lines[0].tags)
    for line in lines[1:]:
        tags = {tag: value for tag, value in tags.items() if line.tags.get(tag) == value}
    return tags


def _placed(line: Line, start: int, step: int, count: int) -> Values:
    wide = line if line.step == step and (line.start - start) % step == 0 else reduced(line, step)
    before = (wide.start - start) // step
    behind = count - before - len(wide.values)
    return [*chain([None] * before, wide.values, [None] * max(0, behind))][:count]
