"""The audit trail: a deed is stored before it is done; many that come together are stored in one write."""

from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from deployer.errors import UnavailableError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.inflight import Inflight
from deployer.model.audit import Deed
from deployer.stores.audit import Audits

MOST_WAITING: Final = 5000
"""Deeds of a company that are not stored yet; more are refused."""

TOGETHER: Final = 200
MOST_SOURCES: Final = 1000
"""So many addresses are told apart in a minute; the rest counts as one."""

OTHERS: Final = "others"
MINUTE_S: Final = 60.0
_Waiting = list[tuple[Deed, "Deferred[None]"]]


class AuditTrail:
    """`home`: the company whose log has what nobody identified did. `tick` is to be called once a minute."""

    log = Logger()

    def __init__(self, audits: Audits, home: str, wall: WallClock) -> None:
        self._audits = audits
        self._home = home
        self._wall = wall
        self._waiting: dict[str, _Waiting] = {}
        self._writing: set[str] = set()
        self._inflight = Inflight()
        self._anonymous: dict[tuple[str, str], int] = {}

    async def note(self, company: str, deed: Deed) -> None:
        """Store a deed; UnavailableError when that cannot be done now, and then it must not be done."""
        waiting = self._waiting.setdefault(company, [])
        if len(waiting) >= MOST_WAITING:
            raise UnavailableError("too much waits for the audit log; try again in a moment")
        done: Deferred[None] = Deferred()
        waiting.append((deed, done))
        if company not in self._writing:
            self._writing.add(company)
            self._inflight.spawn("writing the audit log", self._write(company))
        await done

    def refused(self, address: str, code: str) -> None:
        """Count a request of nobody who was identified."""
        source = (address, code)
        if source not in self._anonymous and len(self._anonymous) >= MOST_SOURCES:
            source = (OTHERS, code)
        self._anonymous[source] = self._anonymous.get(source, 0) + 1

    @property
    def waiting(self) -> int:
        """Deeds that are not stored yet."""
        return sum(map(len, self._waiting.values()))

    async def tick(self) -> None:
        """Store what was counted."""
        counted, self._anonymous = self._anonymous, {}
        for (address, code), count in counted.items():
            deed = Deed(address=address, action="any", decision="denied", code=code, count=count)
            await self.note(self._home, deed)

    async def stop(self) -> None:
        """Wait for what is being written."""
        await self._inflight.settled()

    async def _write(self, company: str) -> None:
        try:
            while waiting := self._waiting.pop(company, None):
                batch, rest = waiting[:TOGETHER], waiting[TOGETHER:]
                if rest:
                    self._waiting[company] = rest
                await self._store(company, batch)
        finally:
            self._writing.discard(company)

    async def _store(self, company: str, batch: _Waiting) -> None:
        error: Exception | None = None
        try:
            await self._audits.append(company, epoch_ms(self._wall), [deed for deed, _ in batch])
        except Exception as reason:  # noqa: BLE001 (whatever it is, those who wait are told)
            error = reason
        for _, done in batch:
            if not done.called:  # else its client has left
                done.errback(error) if error is not None else done.callback(None)
