"""Events and checks of DogStatsD on their way into their company's streams `log.statsd.events` and `.checks`."""

from itertools import count
from typing import Final

import msgspec

from deployer.ingest.buffer import Buffer
from deployer.ingest.sources import Source
from deployer.ingest.streams import Streams
from deployer.protocol.dogstatsd import parse
from deployer.protocol.messages import ID_MASK, StoredMessage
from deployer.protocol.syslogparts import bounded, clean, name_of
from deployer.protocol.times import iso

DOMAIN: Final = "statsd"


class Notices:
    """Gives each to the buffer. `taken`: how many there were."""

    def __init__(self, buffer: Buffer, streams: Streams) -> None:
        self._buffer = buffer
        self._streams = streams
        self._numbers = count(1)
        self._now = 0.0
        self.taken = 0

    def wake(self, now: float) -> None:
        """It is so late; epoch seconds."""
        self._now = now

    def take(self, line: str, source: Source) -> bool:
        """Take a line; False when it is neither event nor check."""
        notice = parse(line.rstrip("\r"))
        if notice is None:
            return False
        self.taken += 1
        ms = int(self._now * 1000)
        host = name_of(notice.host) or source.address
        more = {
            **bounded(notice.fields),
            "received": iso(ms),
            **({} if notice.host == "" else {"from": source.address}),
        }
        stored = StoredMessage(
            "",
            "",
            notice.level,
            next(self._numbers) & ID_MASK,
            ms if notice.at is None else notice.at * 1000,
            clean(notice.text),
            host=host,
            more=more,
        )
        self._buffer.add(source.company, self._streams.key(source.company, notice.kind, self._now), _encode(stored))
        return True


_encode = msgspec.json.Encoder().encode
