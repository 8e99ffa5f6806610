"""The masters of the installation, for its admins: what they have done, how long it took, what failed (seed 002)."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from deployer.model.access import Caller, Permission
from deployer.model.masters import MasterRecord, RouteFigures
from deployer.protocol.times import iso, iso_or_none
from deployer.rest.endpoint import endpoint
from deployer.stores.installation import Installations
from deployer.stores.masters import Masters


class ExceptionsReference(Struct, frozen=True):
    """How many there were since the start, and where the last hundred are."""

    href: str
    count: int


class MasterAnswer(Struct, frozen=True, kw_only=True):
    """A master. `queues`: what waits in it; `lag_ms`: by how much its reactor was late, the worst of late."""

    id: str
    href: str
    name: str
    pid: int
    version: str
    started: str
    seen: str
    listens: Sequence[str]
    ready: bool
    requests: int
    exceptions: ExceptionsReference
    lag_ms: float
    queues: Mapping[str, int]
    routes: Sequence[RouteFigures]


class StorageAnswer(Struct, frozen=True, kw_only=True):
    """What all masters share: the use of Redis' memory (0 to 1), bytes by kind as of a time, open tasks by company."""

    memory: float
    weighed: str | None
    bytes: Mapping[str, int]
    open_tasks: Mapping[str, int]


class MasterPage(Struct, frozen=True):
    """All that live, and what they share."""

    items: list[MasterAnswer]
    storage: StorageAnswer
    next: None = None


class ExceptionAnswer(Struct, frozen=True):
    """An exception that nobody handled. `place`: where in the program it was logged."""

    at: str
    place: str
    text: str
    kind: str
    traceback: str


class ExceptionPage(Struct, frozen=True):
    """The last hundred, the newest first."""

    items: list[ExceptionAnswer]
    next: None = None


class MasterRoutes:
    """`/api/v1/masters`."""

    def __init__(self, masters: Masters, installations: Installations, memory: Callable[[], float]) -> None:
        self._masters = masters
        self._installations = installations
        self._memory = memory

    @endpoint("GET", "/api/v1/masters", needs=Permission.ADMIN, returns=MasterPage)
    async def list_all(self, caller: Caller) -> MasterPage:  # noqa: ARG002 (a route's form)
        """The masters that live, and what they share."""
        items = [_answer(one) for one in await self._masters.listed()]
        weight = await self._masters.weight()
        storage = StorageAnswer(
            memory=round(self._memory(), 4),
            weighed=iso_or_none(None if weight is None else weight.at),
            bytes={} if weight is None else weight.bytes,
            open_tasks=await self._masters.open_tasks(await self._installations.companies()),
        )
        return MasterPage(items, storage)

    @endpoint("GET", "/api/v1/masters/<master>", needs=Permission.ADMIN, returns=MasterAnswer)
    async def show(self, caller: Caller, master: str) -> MasterAnswer:  # noqa: ARG002 (a route's form)
        """One master, asked at any of them; its record is a few seconds old."""
        return _answer(await self._masters.master(master))

    @endpoint("GET", "/api/v1/masters/<master>/exceptions", needs=Permission.ADMIN, returns=ExceptionPage)
    async def exceptions(self, caller: Caller, master: str) -> ExceptionPage:  # noqa: ARG002 (a route's form)
        """Exceptions that nobody handled, with tracebacks; for a week also those of a master that has ended."""
        found = await self._masters.exceptions(master)
        return ExceptionPage(
            [ExceptionAnswer(iso(int(one.at * 1000)), one.place, one.text, one.kind, one.traceback) for one in found]
        )


def _answer(its: MasterRecord) -> MasterAnswer:
    href = f"/api/v1/masters/{its.id}"
    return MasterAnswer(
        id=its.id,
        href=href,
        name=its.name,
        pid=its.pid,
        version=its.version,
        started=iso(its.started),
        seen=iso(its.seen),
        listens=its.listens,
        ready=its.ready,
        requests=its.requests,
        exceptions=ExceptionsReference(f"{href}/exceptions", its.exceptions),
        lag_ms=its.lag_ms,
        queues=its.queues,
        routes=its.routes,
    )
