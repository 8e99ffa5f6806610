"""Ids that are in the journal and wait for the master's word on each (protocol/wire.py 4)."""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct
from twisted.internet.defer import Deferred

from deployer.protocol.wire import MAX_COMMANDS, AcceptRequest, Verdict, encode


class _Question(Struct, frozen=True, eq=False):
    ids: Sequence[str]
    answer: Deferred[list[Verdict]]


class AcceptPost(Struct, frozen=True, eq=False):
    """Questions that go out together."""

    questions: Sequence[_Question]

    @property
    def body(self) -> bytes:
        """The post."""
        return encode(AcceptRequest([id_ for question in self.questions for id_ in question.ids]))


class Acceptance:
    """Gathers questions into posts. `ready` is called when there is one to ask."""

    def __init__(self) -> None:
        self._queue: deque[_Question] = deque()
        self.ready: Callable[[], None] = _nobody

    async def ask(self, ids: Sequence[str]) -> list[Verdict]:
        """Ask until there is an answer: one verdict for each."""
        questions = [
            _Question(ids[start : start + MAX_COMMANDS], Deferred()) for start in range(0, len(ids), MAX_COMMANDS)
        ]
        self._queue.extend(questions)
        self.ready()
        return [verdict for question in questions for verdict in await question.answer]

    def take(self) -> AcceptPost | None:
        """Return what is to be posted next; it is gone from here until `give_back`."""
        questions: list[_Question] = []
        size = 0
        while self._queue and size + len(self._queue[0].ids) <= MAX_COMMANDS:
            questions.append(self._queue.popleft())
            size += len(questions[-1].ids)
        return AcceptPost(questions) if questions else None

    def give_back(self, post: AcceptPost) -> None:
        """Ask these again: the answer was lost."""
        self._queue.extendleft(reversed(post.questions))

    @staticmethod
    def answer(post: AcceptPost, verdicts: Sequence[Verdict]) -> None:
        """Tell who asked."""
        start = 0
        for question in post.questions:
            end = start + len(question.ids)
            if not question.answer.called:  # who asked may have been cancelled
                question.answer.callback(list(verdicts[start:end]))
            start = end


def _nobody() -> None:
    """Nobody posts yet."""
