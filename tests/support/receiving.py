"""Receivers of a master in the test's reactor, on free ports of loopback, over the real Redis; and senders to them."""

import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from deployer.assembly.receivers import Receivers
from deployer.config import MasterSettings
from deployer.kit.clock import sleep
from deployer.model.series import Datum
from deployer.protocol.messages import StoredMessage
from deployer.stores.logs import Logs
from support.served import Served

_decode = msgspec.json.Decoder(list[StoredMessage]).decode


class Sender:
    """A socket that sends, and must never be sent anything."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", source_port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, source_port))
        self.socket.setblocking(False)
        self._to = ("127.0.0.1", port)

    def send(self, *datagrams: bytes) -> None:
        """One after the other."""
        for data in datagrams:
            self.socket.sendto(data, self._to)

    def heard(self) -> bytes | None:
        """What came back."""
        try:
            return self.socket.recv(65536)
        except BlockingIOError:
            return None


class Receiving:
    """From `start` to `stop`."""

    def __init__(self, served: Served, step: int = 1, **settings: Any) -> None:
        self.served = served
        self.numbers: dict[str, list[Datum]] = {}
        ground = msgspec.structs.replace(served._ground, store=self._store)
        self.receivers = Receivers(MasterSettings(**settings), ground, step)
        self._senders: list[Sender] = []

    async def _store(self, company: str, data: Sequence[Datum]) -> None:
        self.numbers.setdefault(company, []).extend(data)

    def value(self, company: str, name: str) -> float | None:
        """The last number of a series."""
        return next((one.value for one in reversed(self.numbers.get(company, [])) if one.series == name), None)

    async def start(self) -> "Receiving":
        """Listen."""
        await self.receivers.open()
        return self

    async def stop(self) -> None:
        """Close all; nothing was ever sent to a sender."""
        await self.receivers.close()
        assert [sender.heard() for sender in self._senders] == [None] * len(self._senders)
        for sender in self._senders:
            sender.socket.close()

    def sender(self, place: int = 0, **more: Any) -> Sender:
        """A new sender to the place of this number."""
        made = Sender(self.receivers.places[place][1], **more)
        self._senders.append(made)
        return made

    async def counts(self, name: str) -> dict[str, int]:
        """One family of counters, as Prometheus is shown it."""
        text = (await self.served.ask("GET", "/metrics")).body.decode()
        lines = [line for line in text.splitlines() if line.startswith(f"deployer_{name}_total{{")]
        return {line.split('"')[1]: int(float(line.rpartition(" ")[2])) for line in lines}

    async def until(self, name: str, condition: Callable[[dict[str, int]], bool], deadline_s: float = 20.0) -> None:
        """Wait until counters are so."""
        end = time.monotonic() + deadline_s
        while not condition(seen := await self.counts(name)):
            assert time.monotonic() < end, seen
            await sleep(self.served.clock, 0.02)

    async def messages(self, stream: str) -> list[StoredMessage]:
        """All of a stream."""
        entries = await Logs(self.served.seeded.redis).entries(stream, "-", "+", 1_000_000)
        return [message for entry in entries for message in _decode(entry.messages)]
