"""Numbers of agents on their way to the metric store, and into what is shown as current."""

from twisted.logger import Logger

from deployer.kit.clock import WallClock
from deployer.kit.failpoints import reach
from deployer.model.current import updated
from deployer.model.retention import is_timely
from deployer.protocol.ids import AgentId
from deployer.protocol.stats import Flush, StatsBatch
from deployer.stores.agents import Session
from deployer.stores.points import Points


class PointIntake:
    """Stores batches; one that comes again is stored once.

    Counts points `accepted`, points `dropped` for an impossible time, points that are not shown as current since an
    agent has too many (`over`), and entries of the stream that went unread since there was no room (`displaced`).
    `is_kept`: whether there is a metric store; without one numbers are shown as current, and that is all.
    """

    log = Logger()

    def __init__(self, points: Points, wall: WallClock, *, is_kept: bool = True) -> None:
        self._points = points
        self._is_kept = is_kept
        self._wall = wall
        self.accepted = 0
        self.dropped = 0
        self.over = 0
        self.displaced = 0

    async def store(self, session: Session, batch: StatsBatch) -> int:
        """Keep a batch; the highest number of this boot that is stored.

        A refusal would block the agent's queue for ever, so numbers of an impossible time are dropped and counted.
        """
        now = self._wall()
        timely = [flush for flush in batch.flushes if is_timely(flush.at, now)]
        kept = await self._points.store(session, batch.boot, batch.seq, timely if self._is_kept else [])
        reach("stats_done")
        if kept.fresh:
            self._count(session.agent, batch.flushes, timely)
            self.displaced += kept.gone
            await self._show(session.agent, timely)
        return kept.acked

    def _count(self, agent: AgentId, flushes: list[Flush], timely: list[Flush]) -> None:
        accepted = sum(len(flush.points) for flush in timely)
        dropped = sum(len(flush.points) for flush in flushes) - accepted
        self.accepted += accepted
        self.dropped += dropped
        if dropped:
            self.log.warn(
                "agent {agent} sends {count} numbers of an impossible time: is its clock right?",
                agent=str(agent),
                count=dropped,
            )

    async def _show(self, agent: AgentId, flushes: list[Flush]) -> None:
        if not flushes:
            return
        (before,) = await self._points.current([agent])
        after = updated(before, flushes)
        self.over += after.over
        await self._points.keep_current(agent, after.rows)
