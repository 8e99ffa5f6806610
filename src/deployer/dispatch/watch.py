"""Watches what monitors watch: when an agent has told what runs, and when a threshold has been broken long enough."""

import msgspec
from twisted.logger import Logger

from deployer.errors import NotFoundError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.monitors import broken, chosen, sentence, total
from deployer.protocol.levels import CRITICAL
from deployer.protocol.messages import StoredMessage
from deployer.protocol.processes import ProcessList
from deployer.stores import keys
from deployer.stores.agents import Session
from deployer.stores.monitors import Due, Monitor, Monitors

DOMAIN = "monitor"
"""The domain of the messages about broken thresholds; their name is the monitor's."""


class Watch:
    """Any number of masters may have one: what is to be told is told once. Counts what this one has `told`."""

    log = Logger()

    def __init__(self, monitors: Monitors, default_company: str, wall: WallClock) -> None:
        self._monitors = monitors
        self._default_company = default_company
        self._wall = wall
        self.told = 0

    async def look(self, session: Session, listed: ProcessList) -> None:
        """Compare what runs on an agent with the thresholds of its company's monitors."""
        for monitor in await self._monitors.of_agent(session.company, session.agent):
            sums = total(chosen(monitor.watched, listed.processes))
            now = broken(monitor.watched, sums)
            if any(_is_news(is_broken, monitor, number) for number, is_broken in enumerate(now)):
                values = [f"{sums.get(one.metric, 0.0):g}" for one in monitor.watched.thresholds]
                await self._monitors.note(session.company, monitor, now, values)

    async def round(self) -> None:
        """Tell of what has been broken long enough."""
        for due in await self._monitors.due():
            try:
                monitor = await self._monitors.monitor(due.company, due.id)
            except NotFoundError:
                await self._monitors.forget(due)
                continue
            if due.number < len(monitor.watched.thresholds):
                await self._tell(due, monitor)
            else:
                await self._monitors.forget(due)

    async def _tell(self, due: Due, monitor: Monitor) -> None:
        watched = monitor.watched
        text = sentence(watched, watched.thresholds[due.number], monitor.standings[due.number].value)
        message = StoredMessage("", watched.agent, CRITICAL, 0, epoch_ms(self._wall), text)
        company = None if due.company == self._default_company else due.company
        stream = keys.log_stream(company, DOMAIN, watched.name)
        if await self._monitors.tell(due.company, monitor, due.number, stream, _encode([message])):
            self.told += 1
            self.log.warn("monitor {monitor}: {text}", monitor=due.id, text=text)


def _is_news(is_broken: bool, monitor: Monitor, number: int) -> bool:  # noqa: FBT001 (one of a row of them)
    standing = monitor.standings[number]
    return standing.told is None if is_broken else standing.since is not None


_encode = msgspec.json.Encoder().encode
