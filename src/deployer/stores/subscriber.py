"""What is published in Redis, heard on a connection of its own, which is made anew when it is lost or falls silent."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from deployer.kit.clock import Clock
from deployer.kit.periodic import Periodic
from deployer.stores.connection import DEADLINE_S, NO_LOGIN, Connection, Keeper, Login

LISTEN_S: Final = 1.0
"""A subscriber mostly hears nothing, so it asks this often whether the other end still is there."""


class Subscriber:
    """Hears what is published; `subscribed` is called after each (re)subscription: something may have been missed."""

    def __init__(
        self,
        endpoint: Any,
        clock: Clock,
        *,
        channels: Sequence[str],
        heard: Callable[[str, str], None],
        subscribed: Callable[[], None],
        login: Login = NO_LOGIN,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._channels = channels
        self._subscribed = subscribed
        self._deadline_s = deadline_s
        self._keeper = Keeper(endpoint, clock, lambda: _Ear(clock, heard), login, self._subscribe)
        self._watch = Periodic("watching the subscription in Redis", LISTEN_S, self._listen, clock)

    def start(self) -> None:
        """Connect and subscribe."""
        self._keeper.start()
        self._watch.startService()

    async def stop(self) -> None:
        """Disconnect."""
        self._watch.stopService()
        await self._keeper.stop()

    @property
    def connected(self) -> bool:
        """Whether it hears."""
        return self._keeper.now is not None

    async def _subscribe(self, ear: "_Ear") -> None:
        for channel in self._channels:  # one by one: a command has one reply
            await ear.ask(("SUBSCRIBE", channel))
        self._subscribed()

    async def _listen(self) -> None:
        self._keeper.cut_when_silent(self._deadline_s)
        ear = self._keeper.now
        if ear is not None and not ear.waiting:
            ear.ask(("PING",)).addErrback(lambda _: None)  # a refusal (BUSY) is a sign of life, a loss is seen to


class _Ear(Connection):
    """A connection on which also what is published arrives."""

    def __init__(self, clock: Clock, heard: Callable[[str, str], None]) -> None:
        super().__init__(clock)
        self._tell = heard

    def replyReceived(self, reply: object) -> None:
        """Pass on what was published."""
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":  # noqa: PLR2004 (kind, channel, text)
            self.hear()
            self._tell(reply[1].decode(), reply[2].decode("utf-8", "replace"))
        else:
            super().replyReceived(reply)
