"""The Redis of a master: its own or a configured one, and the connections to it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.endpoints import clientFromString

from deployer.config import MasterSettings
from deployer.kit.clock import Clock
from deployer.kit.lock_posix import open_lock, try_lock
from deployer.kit.wake import Hub
from deployer.stores import address, keys
from deployer.stores.connection import NO_LOGIN, Login
from deployer.stores.embedded import EmbeddedRedis
from deployer.stores.redis import Redis
from deployer.stores.server import patiently, require_durable
from deployer.stores.subscriber import Subscriber

LOCK: Final = "master.lock"
ATTACH_S: Final = 15.0
T = TypeVar("T")


class Storage:
    """The master's Redis, its own or a configured one, and the connections to it; `ear` is for what blocks."""

    def __init__(self, settings: MasterSettings, reactor: Any, hub: Hub) -> None:
        self._settings = settings
        self._clock: Clock = reactor
        self._embedded: EmbeddedRedis | None = None
        endpoint, login = self._locate(reactor)
        self.redis = Redis(clientFromString(reactor, endpoint), reactor, login)
        self.ear = Redis(clientFromString(reactor, endpoint), reactor, login)
        self.subscriber = Subscriber(
            clientFromString(reactor, endpoint),
            reactor,
            channels=(keys.WAKE, keys.DONE, keys.LOGGED),
            heard=hub.heard,
            subscribed=hub.wake_all,
            login=login,
        )

    async def start(self) -> None:
        """Start our own server where we have one; connect; refuse one that would lose work."""
        if self._embedded is not None:
            await self._embedded.start()
        await self.redis.start(self._settings.redis_wait_s)
        await self.patiently(lambda: require_durable(self.redis, accept_data_loss=self._settings.accept_data_loss))
        await self.ear.start(self._settings.redis_wait_s)
        self.subscriber.start()

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Redis again while it goes away during our start."""
        return await patiently(ask, self._clock, self._settings.redis_wait_s)

    async def attach_or_start(self, data_dir: Path) -> None:
        """Connect to the server that a running master has, or start it when no master runs here."""
        if self._embedded is not None and try_lock(open_lock(data_dir / LOCK)):
            await self._embedded.start()
        else:
            self._embedded = None
        await self.redis.start(ATTACH_S)

    async def stop(self) -> None:
        """Disconnect, then end our own server."""
        await self.subscriber.stop()
        await self.ear.stop()
        await self.redis.stop()
        if self._embedded is not None:
            await self._embedded.stop()

    def _locate(self, reactor: Any) -> tuple[str, Login]:
        if self._settings.redis is not None:
            found = address.parse(self._settings.redis)
            return found.endpoint, found.login
        directory = Path(self._settings.data_dir).resolve() / "redis"
        self._embedded = EmbeddedRedis(directory, self._settings.redis_max_memory, reactor, reactor)
        return f"unix:{str(self._embedded.socket).replace(':', chr(92) + ':')}", NO_LOGIN
