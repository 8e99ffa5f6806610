"""Datagrams of syslog on their way into the company's streams, one for each application."""

import time
from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec
from twisted.logger import Logger

from deployer.ingest.buffer import Buffer
from deployer.ingest.sources import Source
from deployer.ingest.streams import Streams
from deployer.protocol.messages import ID_MASK, StoredMessage
from deployer.protocol.syslog import Received, parse
from deployer.protocol.times import iso

DOMAIN: Final = "syslog"
NOTHING: Final = b" \t\r\n\x00"


class SyslogTaker:
    """Parses each, gives it to the buffer. `empty`: datagrams with nothing in them; `unparsed`: kept as they came."""

    log = Logger()

    def __init__(self, buffer: Buffer, streams: Streams, counted: Callable[[str, int], None]) -> None:
        self._counted = counted
        self._buffer = buffer
        self._streams = streams
        self._numbers = count(1)
        self._now = 0.0
        self._ms = 0
        self._at = ""
        self._offset_s = 0
        self._same: Received | None = None
        self.empty = 0
        self.unparsed = 0

    def wake(self, now: float) -> None:
        """It is so late; epoch seconds."""
        if now == self._now:
            return
        self._now = now
        self._ms = int(now * 1000)
        self._at = iso(self._ms)
        self._offset_s = time.localtime(now).tm_gmtoff
        self._same = None

    def take(self, data: bytes, source: Source) -> None:
        """One message."""
        received = self._same
        if received is None or received.source != source.address:
            received = self._same = Received(self._ms, self._at, source.address, self._offset_s)
        record = parse(data, received)
        if record.error:
            if not data.strip(NOTHING):
                self.empty += 1
                return
            self.unparsed += 1
        self._counted(source.company, record.level)
        number = next(self._numbers) & ID_MASK
        stored = StoredMessage(
            "", "", record.level, number, record.epoch, record.text, host=record.host, more=record.more
        )
        self._buffer.add(source.company, self._streams.key(source.company, record.app, self._now), _encode(stored))


_encode = msgspec.json.Encoder().encode
