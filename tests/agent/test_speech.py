"""What tasks say: numbered once, kept and sent by level, and no faster than the cap."""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from deployer.protocol import levels
from deployer.protocol.messages import Message
from deployer_agent.commands.speech import REPORT_S, ROW_BYTES, Keepers, Speech, Wanted
from deployer_agent.messages.store import Row
from deployer_agent.outbox.batch import Source
from deployer_agent.outbox.numbers import Numbers

TASK = Source("t", "d", "n")


class House:
    """A speech whose neighbours note what they are told."""

    def __init__(self, most_lines: int = 0) -> None:
        self.clock = Clock()
        self.kept: list[Row] = []
        self.sent: list[Message] = []
        self.events: list[str] = []
        self.writing: Deferred[None] | None = None
        keepers = Keepers(self._keep, self._written, self._send, self._settle)
        self.speech = Speech(keepers, Numbers(7, lambda _: None), self.clock, lambda: 5.0, most_lines)

    def _keep(self, task: str, rows: Sequence[Row], size: int) -> None:
        assert size == sum(len(row[7]) + ROW_BYTES for row in rows)
        self.kept += rows

    def _written(self, task: str) -> Deferred[None]:
        self.events.append("write")
        return self.writing or succeed(None)

    def _send(self, source: Source, messages: Sequence[Message]) -> None:
        self.sent += messages

    def _settle(self, task: str, then: Callable[[], None]) -> None:
        self.events.append("settle")
        then()

    def say(self, count: int, level: int = 1) -> None:
        self.speech.add(TASK, Wanted(), [(level, f"{number}", 0) for number in range(count)])


def test_a_message_has_one_number_wherever_it_goes() -> None:
    house = House()
    house.speech.add(TASK, Wanted(), [(1, "a", 0), (9, "b", 2)])
    assert house.kept == [(7, 7, "t", "d", "n", 5000, 1, "a", 0), (8, 8, "t", "d", "n", 5000, 9, "b", 2)]
    assert house.sent == [Message(1, 7, 5000, "a"), Message(9, 8, 5000, "b", 2)]


def test_levels_say_what_is_kept_and_what_is_sent() -> None:
    house = House()
    wanted = Wanted(kept=levels.parse("1-5"), sent=levels.parse("9"))
    house.speech.add(TASK, wanted, [(1, "a", 0), (9, "b", 0), (20, "c", 0)])
    assert [row[7] for row in house.kept] == ["a"]
    assert [message.data for message in house.sent] == ["b"]


def test_more_than_the_cap_in_a_second_is_dropped_and_told() -> None:
    house = House(most_lines=10)
    house.say(8)
    house.say(8)
    assert len(house.sent) == 10
    house.clock.advance(1)
    house.say(20)
    assert len(house.sent) == 20
    house.clock.advance(REPORT_S)
    house.say(1)
    assert [(m.level, m.data) for m in house.sent if m.level == levels.WARNING] == [
        (levels.WARNING, "16 messages were dropped: more than 10 a second")
    ]
    house.say(30)
    house.speech.settle("t", lambda: house.events.append("done"))
    assert "dropped" in house.sent[-1].data
    assert house.speech.dropped == 37


def test_a_task_is_settled_when_what_it_said_is_written_and_acknowledged() -> None:
    house = House()
    house.writing = Deferred()
    house.speech.settle("t", lambda: house.events.append("done"))
    assert (house.events, house.speech.settling) == (["write"], 1)
    house.writing.callback(None)
    assert (house.events, house.speech.settling) == (["write", "settle", "done"], 0)
