"""Messages of agents on their way into the streams of Redis."""

from collections import Counter
from collections.abc import Callable

import msgspec
from twisted.logger import Logger

from deployer.errors import TooManyError
from deployer.kit.allowance import Allowance
from deployer.kit.clock import Clock
from deployer.kit.failpoints import reach
from deployer.model import limits
from deployer.protocol.levels import CRITICAL
from deployer.protocol.messages import ID_MASK, OWN_FAILURES, Group, StoredMessage
from deployer.protocol.wire import LogBatch
from deployer.stores import keys
from deployer.stores.activity import Activities
from deployer.stores.agents import Agents, Entry, Session

Counted = Callable[[str, str, int, int], None]
"""Told of a company, an agent, a level, and how many messages of it have come."""


class Intake:
    """Stores batches; a batch that comes again is stored once."""

    log = Logger()

    def __init__(
        self, agents: Agents, activities: Activities, default_company: str, clock: Clock, counted: Counted
    ) -> None:
        self._counted = counted
        self._activities = activities
        self._quota = Allowance(limits.MESSAGES_PER_AGENT, limits.MESSAGES_S, clock, most=limits.AGENTS)
        self._agents = agents
        self._default_company = default_company
        self.over_share = 0
        self.foreign = 0
        self.lost = 0
        self.refused = 0

    async def store(self, session: Session, batch: LogBatch) -> int:
        """Keep a batch; the highest number of this boot that is stored. TooManyError while it comes too fast."""
        self._require_quota(session, batch)
        entries = [self._entry(session, group) for group in batch.groups if group.messages]
        reach("log_begun")
        logged = await self._agents.log(session, batch.boot, batch.seq, entries)
        reach("log_done")
        if logged.fresh:
            self._count(session, batch)
        if (failures := sum(_failures(group) for group in batch.groups)) > 0:
            await self._activities.note_exceptions(session.agent, failures)
        self.over_share += logged.over
        if logged.lost:
            self.lost += logged.lost
            self.log.error(
                "ALERT: {count} messages of agent {agent} are lost: what has the name of their stream in Redis is none",
                agent=str(session.agent),
                count=logged.lost,
            )
        if logged.foreign:
            self.foreign += logged.foreign
            self.log.warn(
                "audit: agent {agent} sends {count} messages of tasks that are not its own",
                agent=str(session.agent),
                count=logged.foreign,
            )
        return logged.acked

    def _count(self, session: Session, batch: LogBatch) -> None:
        found = Counter(message.level for group in batch.groups for message in group.messages)
        for level, count in found.items():
            self._counted(session.company, str(session.agent), level, count)

    def _require_quota(self, session: Session, batch: LogBatch) -> None:
        """One agent that floods us does not slow down the others; it keeps what we refuse."""
        agent = str(session.agent)
        wait_s = self._quota.wait_s(agent)
        if wait_s > 0:
            self.refused += 1
            raise TooManyError(
                f"more than {limits.MESSAGES_PER_AGENT} messages in {limits.MESSAGES_S:g} s: wait", wait_s
            )
        self._quota.spend(agent, sum(len(group.messages) for group in batch.groups))

    def _entry(self, session: Session, group: Group) -> Entry:
        company = None if session.company == self._default_company else session.company
        agent = str(session.agent)
        stored = [
            StoredMessage(group.task, agent, m.level, m.seq & ID_MASK, m.epoch, m.data, m.seq, m.flags)
            for m in group.messages
        ]
        stream = keys.log_stream(company, group.domain, group.name)
        return Entry(group.task, stream, len(stored), sum(len(m.data) for m in stored), _encode(stored))


def _failures(group: Group) -> int:
    """Exceptions of the agent itself (DESIGN 4)."""
    if group.task or (group.domain, group.name) != OWN_FAILURES:
        return 0
    return sum(message.level == CRITICAL for message in group.messages)


_encode = msgspec.json.Encoder().encode
