"""Numbers over spans of time: windows that move along, buckets, and other times."""

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, repeat
from operator import sub
from typing import Any, Final, cast

from msgspec.structs import replace

from deployer.model.graphite.aggregates import Aggregate, aggregate_of, present
from deployer.model.graphite.functions.declared import LIST, Function, Param, Reach, Scope, chosen
from deployer.model.graphite.lines import MAX_POINTS, Line, Lines, Values, chunked, require_points
from deployer.model.graphite.problems import WrongTargetError
from deployer.model.graphite.times import moment, seconds

MAX_WINDOW_POINTS: Final = MAX_POINTS
_Window = Callable[[Values, int], Sequence[float | None]]
"""Of values and a width: for each value what the so many values before it are together."""


def _width(line: Line, window: int | str) -> int:
    width = window if isinstance(window, int) else seconds(window) // line.step
    return max(1, abs(width))


def _window_reach(arguments: Mapping[str, Any]) -> Reach:
    window = arguments["windowSize"]
    if isinstance(window, int):
        if not 0 < window <= MAX_WINDOW_POINTS:
            raise WrongTargetError(f"a window has 1 to {MAX_WINDOW_POINTS} points")
        return Reach(before_points=window)
    return Reach(before_s=abs(seconds(window)))


def _moved(scope: Scope, lines: Lines, name: str, window: int | str, over: _Window) -> Lines:
    made = []
    text = window if isinstance(window, int) else f'"{window}"'
    for line in lines:
        width = _width(line, window)
        skipped = min(len(line.values), max(0, -(-(scope.start - line.start) // line.step)))
        values = over(line.values, width)[skipped:]
        moved = line.made(f"{name}({line.name},{text})", list(values))
        made.append(replace(moved, start=line.start + skipped * line.step))
    return made


def _before(running: list[float], width: int) -> Iterator[float]:
    """Of running totals, which begin with 0: that of the so many values before each."""
    return map(sub, running[:-1], chain(repeat(0.0, min(width, len(running) - 1)), running))


def _sums(values: Values, width: int) -> Iterator[tuple[float, float]]:
    """Sum and number of the so many values before each."""
    if None not in values:
        totals = [0.0, *accumulate(cast("list[float]", values))]
        return zip(_before(totals, width), chain(range(width), repeat(width)), strict=False)
    totals = [0.0, *accumulate(value or 0.0 for value in values)]
    counts = [0.0, *accumulate(value is not None for value in values)]
    return zip(_before(totals, width), _before(counts, width), strict=False)


def _averages(values: Values, width: int) -> Sequence[float | None]:
    return [total / count if count else None for total, count in _sums(values, width)]


def _totals(values: Values, width: int) -> Sequence[float | None]:
    return [total if count else None for total, count in _sums(values, width)]


def _medians(values: Values, width: int) -> Sequence[float | None]:
    held: list[float] = []
    made: list[float | None] = []
    for index in range(len(values)):
        half = len(held) // 2
        made.append((held[half] if len(held) % 2 else (held[half - 1] + held[half]) / 2) if held else None)
        if (value := values[index]) is not None:
            bisect.insort(held, value)
        if index >= width and (gone := values[index - width]) is not None:
            del held[bisect.bisect_left(held, gone)]
    return made


def _any_window(scope: Scope, aggregate: Aggregate) -> _Window:
    def over(values: Values, width: int) -> Sequence[float | None]:
        scope.budget.spend(len(values) * width // 20)
        windows = (present(values[max(0, index - width) : index]) for index in range(len(values)))
        return [aggregate(window) if window else None for window in windows]

    return over


def moving_window(scope: Scope, lines: Lines, windowSize: int | str, func: str) -> Lines:  # noqa: N803
    """What an aggregation makes of the points before each, so many or of so long a time."""
    return _moved(scope, lines, f"moving{func.capitalize()}", windowSize, _over(scope, func))


def _over(scope: Scope, func: str) -> _Window:
    quick: dict[str, _Window] = {
        "average": _averages,
        "avg": _averages,
        "sum": _totals,
        "total": _totals,
        "median": _medians,
    }
    return quick.get(func) or _any_window(scope, aggregate_of(func))


def _moving(name: str, func: str) -> Function:
    def run(scope: Scope, lines: Lines, windowSize: int | str) -> Lines:  # noqa: N803
        return _moved(scope, lines, name, windowSize, _over(scope, func))

    run.__doc__ = f"The {func} of the points before each, so many or of so long a time."
    return Function(name, "Calculate", run, (LIST, _WINDOW), _window_reach)


def exponential(scope: Scope, lines: Lines, windowSize: int | str) -> Lines:  # noqa: N803
    """An average that forgets: each point counts more than those before it."""

    def over(values: Values, width: int) -> Sequence[float | None]:
        share = 2.0 / (width + 1)
        held: float | None = None
        made: Values = []
        for value in values:
            if value is not None:
                held = value if held is None else share * value + (1 - share) * held
            made.append(held)
        return made

    return _moved(scope, lines, "exponentialMovingAverage", windowSize, over)


def summarize(
    scope: Scope,  # noqa: ARG001
    lines: Lines,
    intervalString: str,  # noqa: N803
    func: str,
    alignToFrom: bool,  # noqa: FBT001, N803
) -> Lines:
    """One point for each interval; these begin at their multiples, or with `alignToFrom` where the time does."""
    behind = ", true" if alignToFrom else ""
    return [
        _bucketed(
            line,
            f'summarize({line.name}, "{intervalString}", "{func}"{behind})',
            _interval(intervalString, line),
            aggregate_of(func),
            line.start if alignToFrom else 0,
        )
        for line in lines
    ]


def smart_summarize(scope: Scope, lines: Lines, intervalString: str, func: str) -> Lines:  # noqa: N803
    """One point for each interval, from the beginning of the asked time on."""
    return [
        _bucketed(
            line,
            f'smartSummarize({line.name}, "{intervalString}", "{func}")',
            _interval(intervalString, line),
            aggregate_of(func),
            scope.start - scope.start % line.step,
        )
        for line in lines
    ]


def hitcount(scope: Scope, lines: Lines, intervalString: str, alignToInterval: bool) -> Lines:  # noqa: ARG001, FBT001, N803
    """How many there were in each interval, of numbers that are so many a second."""
    behind = ",true" if alignToInterval else ""
    made = []
    for line in lines:
        name = f"hitcount({line.name},'{intervalString}'{behind})"
        amounts = replace(line, values=[None if one is None else one * line.step for one in line.values])
        interval = _interval(intervalString, line)
        made.append(_bucketed(amounts, name, interval, sum, 0 if alignToInterval else line.start))
    return made


def _interval(text: str, line: Line) -> int:
    """Seconds, at least the step of the line, and a multiple of it."""
    wanted = abs(seconds(text))
    if not wanted:
        raise WrongTargetError("an interval is longer than nothing")
    require_points((line.end - line.start) // wanted)
    return -(-wanted // line.step) * line.step


def _bucketed(line: Line, name: str, interval: int, aggregate: Aggregate, origin: int) -> Line:
    """One point for each interval from the origin on."""
    width = interval // line.step
    lead = (line.start - origin) % interval // line.step
    values = chunked(line.values, width, lead, aggregate)
    return replace(line.made(name, values), start=line.start - lead * line.step, step=interval)


def time_shift(scope: Scope, lines: Lines, timeShift: str, resetEnd: bool) -> Lines:  # noqa: ARG001, FBT001, N803
    """The numbers of another time, `1d` ago or `+1d` ahead."""
    text = timeShift if timeShift[:1] in {"+", "-"} else f"-{timeShift}"
    later = -seconds(text)
    return [
        replace(line.made(f'timeShift({line.name}, "{text}")', line.values), start=line.start + later) for line in lines
    ]


def _shift_reach(arguments: Mapping[str, Any]) -> Reach:
    text = arguments["timeShift"]
    return Reach(later_s=seconds(text if text[:1] in {"+", "-"} else f"-{text}"))


def delay(scope: Scope, lines: Lines, steps: int) -> Lines:  # noqa: ARG001
    """Each number so many points later."""
    made = []
    for line in lines:
        count = max(-len(line.values), min(len(line.values), steps))
        gap: Values = [None] * abs(count)
        values = gap + line.values[: len(line.values) - count] if count >= 0 else line.values[-count:] + gap
        made.append(line.made(f"delay({line.name},{steps})", values))
    return made


def time_slice(scope: Scope, lines: Lines, startSliceAt: str, endSliceAt: str) -> Lines:  # noqa: N803
    """Only the numbers of a time."""
    begin, end = moment(startSliceAt, scope.end), moment(endSliceAt, scope.end)
    return [
        line.made(
            f"timeSlice({line.name},{begin},{end})",
            [one if begin <= line.start + index * line.step <= end else None for index, one in enumerate(line.values)],
        )
        for line in lines
    ]


_WINDOW: Final = Param("windowSize", "intOrInterval", suggestions=(5, 7, 10, "1min", "5min", "10min", "30min", "1hour"))
_INTERVAL: Final = Param("intervalString", "interval", suggestions=("10min", "1h", "1d"))
TABLE: Final = (
    Function("movingWindow", "Calculate", moving_window, (LIST, _WINDOW, chosen("average")), _window_reach),
    *(
        _moving(f"moving{name}", func)
        for name, func in (("Average", "average"), ("Median", "median"), ("Max", "max"), ("Min", "min"), ("Sum", "sum"))
    ),
    Function("exponentialMovingAverage", "Calculate", exponential, (LIST, _WINDOW), _window_reach),
    Function(
        "summarize",
        "Transform",
        summarize,
        (LIST, _INTERVAL, chosen("sum"), Param("alignToFrom", "boolean", required=False, default=False)),
    ),
    Function("smartSummarize", "Transform", smart_summarize, (LIST, _INTERVAL, chosen("sum"))),
    Function(
        "hitcount",
        "Transform",
        hitcount,
        (LIST, _INTERVAL, Param("alignToInterval", "boolean", required=False, default=False)),
    ),
    Function(
        "timeShift",
        "Transform",
        time_shift,
        (
            LIST,
            Param("timeShift", "interval", suggestions=("1h", "6h", "12h", "1d", "7d")),
            Param("resetEnd", "boolean", required=False, default=True),
        ),
        _shift_reach,
    ),
    Function("delay", "Transform", delay, (LIST, Param("steps", "integer"))),
    Function(
        "timeSlice",
        "Transform",
        time_slice,
        (LIST, Param("startSliceAt", "date"), Param("endSliceAt", "date", required=False, default="now")),
    ),
)
