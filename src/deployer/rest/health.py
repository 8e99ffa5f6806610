"""Whether this master lives and is ready to work."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from deployer.model import limits
from deployer.model.access import Permission
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint


class Health(Struct, frozen=True):
    """`ok`, or what is wrong; `warnings` do not make a master unready."""

    status: str
    warnings: list[str] = []


class Welcome(Struct, frozen=True):
    """What stands at `/`: where to go on."""

    product: str
    api: str
    readiness: str


class HealthRoutes:
    """`/livez`, `/readyz`, `/`.

    `trouble()`: what keeps this master from working, `waits()`: what it does later; None when there is nothing.
    """

    def __init__(
        self,
        trouble: Callable[[], Awaitable[str | None]],
        memory: Callable[[], float],
        stopping: Callable[[], bool],
        waits: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._waits = waits
        self._trouble = trouble
        self._stopping = stopping
        self._memory = memory

    @endpoint("GET", "/livez", needs=Permission.PUBLIC, returns=Health)
    async def live(self) -> Health:
        """The reactor answers."""
        return Health("ok")

    @endpoint("GET", "/readyz", needs=Permission.PUBLIC, returns=Health)
    async def ready(self) -> Answer:
        """Redis takes writes and has room, and the master is not about to stop."""
        if self._stopping():
            return Answer(Health("stopping"), 503)
        if (trouble := await self._trouble()) is not None:
            return Answer(Health(trouble), 503)
        if self._memory() >= limits.MEMORY_REFUSAL:
            return Answer(Health("redis is full: new jobs are refused"), 503)
        warnings = [f"redis uses {self._memory():.0%} of its memory"] if self._memory() >= limits.MEMORY_WARNING else []
        if (waits := self._waits()) is not None:
            warnings.append(waits)
        return Answer(Health("ok", warnings))

    @endpoint("GET", "/", needs=Permission.PUBLIC, returns=Welcome)
    async def welcome(self) -> Welcome:
        """Where to go on."""
        return Welcome("deployer", "/api/v1", "/readyz")
