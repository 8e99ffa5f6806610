"""Lines of Graphite's plain text on their way to the metric store, whether they came by UDP or TCP."""

from collections.abc import Sequence

from deployer.ingest.points import PointBuffer
from deployer.ingest.sources import Source
from deployer.model.foreign import foreign_series, how_of, is_timely
from deployer.model.series import Datum
from deployer.protocol.plaintext import Bad, parse


class GraphiteTaker:
    """`points`: lines that were taken; `bad_lines`, `bad_names`, `bad_times` were not, `empty` datagrams had none."""

    def __init__(self, points: PointBuffer) -> None:
        self._points = points
        self._now = 0.0
        self.points = 0
        self.bad_lines = 0
        self.bad_names = 0
        self.bad_times = 0
        self.empty = 0

    def wake(self, now: float) -> None:
        """It is so late; epoch seconds."""
        self._now = now

    def take(self, data: bytes, source: Source) -> None:
        """One datagram of lines."""
        self.lines(data.split(b"\n"), source.company)
        self.empty += not data.strip()

    def lines(self, lines: Sequence[bytes], company: str) -> None:
        """Lines of one company."""
        found = [datum for line in lines if line and (datum := self._datum(line)) is not None]
        self.points += len(found)
        self._points.add(company, found)

    def _datum(self, line: bytes) -> Datum | None:
        text = line.decode("utf-8", "replace")
        if text.isspace():
            return None
        said = parse(text)
        if isinstance(said, Bad):
            self.bad_lines += 1
            return None
        series = foreign_series(said.path, said.tags)
        if series is None:
            self.bad_names += 1
            return None
        at = int(self._now) if said.at is None else said.at
        if not is_timely(at, self._now):
            self.bad_times += 1
            return None
        return Datum(series, at, said.value, how_of(series))
