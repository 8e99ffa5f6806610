"""Whisper files (carbon's), one a series, of a size that is known beforehand. All of it happens in threads.

`<folder>/<company>/<part>/…/<last part>.wsp`; a series with tags has `~` and a hash of them behind its last part. A
name has only the characters of `ids.node()`, so no path leads out of the folder (RELIABILITY U5).
"""

import contextlib
import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import whisper  # type: ignore[import-untyped]
from twisted.logger import Logger

from deployer.errors import UnavailableError
from deployer.kit.clock import WallClock
from deployer.kit.threads import Threads
from deployer.model.series import Series, is_series
from deployer.model.slots import Rows, coarser, parts
from deployer.model.storage import Plan, Plans
from deployer.protocol.stats import How
from deployer.stores.metrics.store import width

_NO_ROOM: Final = "there is no room for a new file"
"""What whisper's own error means, which says `fallocate` and no more."""
SERIES_A_TURN: Final = 500
"""Written by one thread at once, so that readers get one in between."""
MAX_PART_CHARS: Final = 200

_NONE: Final = (whisper.WhisperException, struct.error, ArithmeticError, ValueError)
"""What a file raises that is none, or not all of one, or whose head has impossible numbers."""

whisper.AUTOFLUSH = False
whisper.CACHE_HEADERS = True


class WhisperStore:
    """One writer; readers beside it. `broken`: files that were none and were put aside."""

    log = Logger()

    def __init__(self, folder: Path, plans: Plans, threads: Threads, wall: WallClock) -> None:
        self._folder = folder
        self._plans = plans
        self._threads = threads
        self._wall = wall
        self.broken = 0

    async def write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:
        """Put points into files; those that do not exist are made."""
        for part in parts(rows, SERIES_A_TURN):
            try:
                await self._threads.run(self._write, company, part, hows)
            except OSError as error:
                raise UnavailableError(f"metrics cannot be written: {error.strerror or _NO_ROOM}") from error

    def _write(self, company: str, rows: Rows, hows: Mapping[str, How]) -> None:
        for series, points in rows.items():
            path = self.path(company, series)
            try:
                self._update(path, series, hows[series], points)
            except _NONE:
                self._put_aside(path)
                self._update(path, series, hows[series], points)

    def _update(self, path: Path, series: str, how: How, points: Sequence[tuple[int, float]]) -> None:
        try:
            whisper.update_many(str(path), points, int(self._wall()))
        except FileNotFoundError:
            _create(path, self._plans.plan(series), how)
            whisper.update_many(str(path), points, int(self._wall()))

    def _put_aside(self, path: Path) -> None:
        self.broken += 1
        path.replace(path.with_suffix(".bad"))
        _forget_head(path)
        self.log.error("{path} is no Whisper file: it is kept as .bad, and a new one begun", path=str(path))

    async def fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        """Read files."""
        try:
            return await self._threads.run(self._fetch, company, hows, start, end, points)
        except OSError as error:
            raise UnavailableError(f"metrics cannot be read: {error.strerror}") from error

    def _fetch(self, company: str, hows: Mapping[str, How], start: int, end: int, points: int) -> list[Series]:
        found = (self._read(company, series, how, (start, end), points) for series, how in hows.items())
        return [one for one in found if one is not None]

    def _read(self, company: str, series: str, how: How, span: tuple[int, int], points: int) -> Series | None:
        plan, now = self._plans.plan(series), int(self._wall())
        step = _step(plan, now - span[0])
        times = width(step, *span, points)
        start = span[0] - span[0] % (step * times)
        try:
            values = _values(self.path(company, series), start, span[1], now, step)
        except (FileNotFoundError, *_NONE):
            return None
        its = plan.how or how
        return Series(series, start, step * times, coarser(values, times, its), its)

    async def remove(self, company: str, names: Sequence[str]) -> None:
        """Delete files, and folders that are empty then."""
        await self._threads.run(self._remove, company, names)

    def _remove(self, company: str, names: Sequence[str]) -> None:
        for series in names:
            path = self.path(company, series)
            with contextlib.suppress(OSError):
                path.unlink()
                _forget_head(path)
                for folder in path.parents:
                    if folder == self._folder:
                        break
                    folder.rmdir()

    async def stop(self) -> None:
        """Nothing is open between two calls."""

    def path(self, company: str, series: str) -> Path:
        """Where a series is. ValueError for what is none."""
        if not is_series(series):
            raise ValueError(f"{series[:80]!r} is no series")
        name, _, tags = series.partition(";")
        *folders, last = map(_short, name.split("."))
        suffix = f"~{_digest(tags)}" if tags else ""
        return self._folder.joinpath(company, *folders, f"{last}{suffix}.wsp")


def _step(plan: Plan, age: int) -> int:
    """Of the finest archive that goes so far back; the coarsest when none does."""
    return next((one.step for one in plan.archives if one.retention >= age), plan.archives[-1].step)


def _values(path: Path, start: int, end: int, now: int, step: int) -> list[float | None]:
    """One for each slot from `start` to `end`: what a file cannot have is None."""
    count = -(-(end - start) // step)
    span = start - 1, max(start, end - 1)
    try:
        found: Any = whisper.fetch(str(path), *span, now, step)
    except ValueError:  # no archive has this step: it was made under other rules
        found = whisper.fetch(str(path), *span, now)
    if found is None:  # it lies before what is kept, or ahead
        return [None] * count
    (first, _, its_step), values = found
    if its_step != step:
        return _resampled(first, its_step, values, (start, step, count))
    made: list[float | None] = [None] * ((first - start) // step)
    made += values
    made += [None] * (count - len(made))
    return made[:count]


def _resampled(
    first: int, its_step: int, values: Sequence[float | None], wanted: tuple[int, int, int]
) -> list[float | None]:
    start, step, count = wanted
    made: list[float | None] = [None] * count
    for at, value in enumerate(values):
        place = (first + at * its_step - start) // step
        if value is not None and 0 <= place < count:
            made[place] = value
    return made


def _create(path: Path, plan: Plan, how: How) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    archives = [(one.step, one.points) for one in plan.archives]
    made = path.with_suffix(".new")  # a half made file has another name
    made.unlink(missing_ok=True)
    whisper.create(str(made), archives, plan.x_files_factor, plan.how or how, useFallocate=True)
    made.chmod(0o600)
    made.replace(path)


def _forget_head(path: Path) -> None:
    """What Whisper remembers of a file is not that of the next one at the same place."""
    vars(whisper)["__headerCache"].pop(str(path), None)


def _short(part: str) -> str:
    """A part that is too long for a file's name ends in a hash."""
    return part if len(part) <= MAX_PART_CHARS else f"{part[:MAX_PART_CHARS]}~{_digest(part)}"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:32]
