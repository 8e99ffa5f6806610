"""All posts of the agent: acceptance, messages, results, statistics, each on a lane of its own (wire.py 4 to 7)."""

from typing import Any, Final

from msgspec import Struct

from deployer.kit.clock import Clock
from deployer.kit.failpoints import reach
from deployer.protocol.stats import StatsAnswer
from deployer.protocol.wire import AcceptAnswer, LogAnswer, ResultAnswer
from deployer_agent.commands.acceptance import Acceptance, AcceptPost
from deployer_agent.errors import LinkError, ProblemError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.lane import Lane, Traffic
from deployer_agent.link.requests import Requests
from deployer_agent.outbox.batch import Batch
from deployer_agent.outbox.messages import MessageOutbox
from deployer_agent.outbox.results import ResultOutbox, ResultPost
from deployer_agent.outbox.stats import StatsOutbox

RESULT_POSTS: Final = 8


class Outboxes(Struct, frozen=True, eq=False):
    """Where the posts come from."""

    acceptance: Acceptance
    messages: MessageOutbox
    results: ResultOutbox
    stats: StatsOutbox


class Link:
    """Connects the outboxes with the master's routes."""

    def __init__(
        self,
        requests: Requests,
        outboxes: Outboxes,
        clock: Clock,
        complaints: Complaints,
    ) -> None:
        self._requests = requests
        self._acceptance = accepts = outboxes.acceptance
        self._messages = messages = outboxes.messages
        self._results = results = outboxes.results
        self._statistics = stats = outboxes.stats
        acceptance_traffic = Traffic("acceptances", accepts.take, self._accept, accepts.give_back)
        message_traffic = Traffic("messages", messages.take, self._log, _keep)
        result_traffic = Traffic("results", results.take, self._result, results.give_back, RESULT_POSTS)
        stats_traffic = Traffic("statistics", stats.take, self._stats, _keep)
        self._numbers = Lane(stats_traffic, clock, complaints)
        self._accepts = Lane(acceptance_traffic, clock, complaints)
        self._logs = Lane(message_traffic, clock, complaints)
        self._finals = Lane(result_traffic, clock, complaints)

    def open(self) -> None:
        """Begin to post what there is."""
        self._acceptance.ready = self._accepts.nudge
        self._messages.ready = self._logs.nudge
        self._results.ready = self._finals.nudge
        self._statistics.ready = self._numbers.nudge
        for lane in self._lanes():
            lane.open()

    async def close(self) -> None:
        """Post no more."""
        for lane in self._lanes():
            await lane.close()

    def _lanes(self) -> tuple[Lane[Any], ...]:
        return self._accepts, self._logs, self._finals, self._numbers

    async def _accept(self, post: AcceptPost) -> None:
        answer = await self._requests.post("accept", post.body, AcceptAnswer)
        _require_all(len(answer.verdicts), sum(len(question.ids) for question in post.questions))
        self._acceptance.answer(post, answer.verdicts)

    async def _log(self, batch: Batch) -> None:
        try:
            answer = await self._requests.post("log", batch.body or b"", LogAnswer)
        except ProblemError as error:
            if not error.is_final:
                raise
            self._messages.refuse(batch, str(error))
            return
        if answer.acked < batch.seq:
            raise LinkError(f"the master has messages through {answer.acked}, not {batch.seq}")
        reach("log_answered")
        self._messages.acknowledge(batch)

    async def _result(self, post: ResultPost) -> None:
        reach("result_posting")
        try:
            answer = await self._requests.post("result", post.body, ResultAnswer)
        except ProblemError as error:
            if not error.is_final:
                raise
            self._results.refuse(post, str(error))
            return
        _require_all(len(answer.receipts), len(post.results))
        _require_all(len(answer.run_receipts), len(post.runs))
        reach("result_answered")
        self._results.acknowledge(post, answer)

    async def _stats(self, batch: Batch) -> None:
        try:
            answer = await self._requests.post("stats", batch.body or b"", StatsAnswer)
        except ProblemError as error:
            if not error.is_final:
                raise
            self._statistics.refuse(batch, str(error))
            return
        if answer.acked < batch.seq:
            raise LinkError(f"the master has statistics through {answer.acked}, not {batch.seq}")
        self._statistics.acknowledge(batch)


def _require_all(answered: int, asked: int) -> None:
    if answered != asked:
        raise LinkError(f"the master answered {answered} of {asked}")


def _keep(batch: Batch) -> None:
    """A batch stays frozen in its outbox until it is acknowledged."""
