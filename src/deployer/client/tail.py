"""Where a followed log or stream of events stands: it is taken up again where its stream was lost."""

from deployer.client.errors import Unreachable
from deployer.client.requests import LOST_IN_A_ROW
from deployer.client.sse import Parser
from deployer.kit.backoff import Backoff


class Tail:
    """`parser` is for the present stream; `opened`: a master has once given one."""

    def __init__(self, what: str, after: str = "") -> None:
        self.parser = Parser(after)
        self.opened = False
        self._what = what
        self._before = after
        self._fruitless = 0
        self._backoff = Backoff(0.1, 5.0)

    def again(self) -> float:
        """The stream has ended too early: how long to wait before the next; Unreachable when it gets no further."""
        came_on = self.parser.last_id != self._before
        self._before = self.parser.last_id
        self._fruitless = 0 if came_on else self._fruitless + 1
        if self._fruitless >= LOST_IN_A_ROW:
            raise Unreachable(f"{self._what} was lost {LOST_IN_A_ROW} times")
        self._backoff.failures = self._fruitless
        self.parser = Parser(self.parser.last_id)
        return self._backoff.next_delay()
