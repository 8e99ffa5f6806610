"""The master's side of an agent's session: commands go out by polls, acceptances and results come in."""

import contextlib
from collections.abc import Sequence

from twisted.logger import Logger

from deployer.dispatch.audit import AuditTrail
from deployer.errors import NoSpaceError, UnavailableError
from deployer.kit.failpoints import reach
from deployer.kit.wake import Hub
from deployer.model.audit import Deed
from deployer.protocol.results import Result
from deployer.protocol.wire import Receipt, Verdict
from deployer.stores import keys
from deployer.stores.agents import Agents, Session


class Commands:
    """Serves one agent's polls and posts."""

    log = Logger()

    def __init__(self, agents: Agents, hub: Hub, trail: AuditTrail) -> None:
        self._trail = trail
        self._agents = agents
        self._hub = hub

    async def poll(self, session: Session, count: int, wait_s: float) -> list[bytes]:
        """Up to `count` commands (envelopes as JSON) and all kills, as soon as there are any; none after `wait_s`.

        UnavailableError when this master is stopping: what it claimed now might not arrive.
        """
        if self._hub.closed:
            raise UnavailableError("this master is stopping; ask again, another one may answer")
        end = self._hub.clock.seconds() + wait_s
        with self._hub.waiter((keys.WAKE, str(session.agent))) as waiter:
            while True:
                waiter.seen()
                reach("claim_begun")
                claimed = await self._agents.claim(session, count)
                reach("claim_done")
                left = self._hub.left(end)
                if claimed or left <= 0:
                    return claimed
                if not await waiter.wait(left) and self._hub.left(end) <= 0:
                    return []  # the next poll looks at once

    async def accept(self, session: Session, ids: Sequence[str]) -> list[Verdict]:
        """Bind tasks to the instance that has them in its journal."""
        reach("accept_begun")
        verdicts = await self._agents.accept(session, ids)
        reach("accept_done")
        return verdicts

    async def record_runs(self, session: Session, runs: Sequence[Result]) -> list[Receipt]:
        """Keep records of finished runs."""
        receipts = await self._agents.record_runs(session, runs) if runs else []
        reach("runs_done")
        return receipts

    async def finish(self, session: Session, results: Sequence[Result]) -> list[Receipt]:
        """Keep results; what contradicts an earlier one is told and noted."""
        reach("result_begun")
        receipts = await self._agents.finish(session, results) if results else []
        reach("result_done")
        for result, receipt in zip(results, receipts, strict=True):
            if receipt not in {"OK", "DUP"}:
                self.log.warn(
                    "audit: agent {agent} reports {state} for task {task}: {receipt}",
                    agent=str(session.agent),
                    state=result.state,
                    task=result.id,
                    receipt=receipt,
                )
                await self._note(session, result, receipt)
        return receipts

    async def _note(self, session: Session, result: Result, receipt: Receipt) -> None:
        """In the audit log too: an agent that speaks for others, or tells another story than before (I3)."""
        deed = Deed(
            user=f"agent {session.agent}",
            action="POST /<gid>/<nid>/result",
            object=f"{result.id}/{result.state}",
            decision="denied",
            code=receipt.lower(),
        )
        with contextlib.suppress(UnavailableError, NoSpaceError):
            await self._trail.note(session.company, deed)
