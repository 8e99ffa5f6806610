"""On which agents tasks are."""

import pytest

from deployer.model.placement import Fanout, Place, placed
from deployer.protocol.ids import AgentId


def place(nid: int, load: int = 0, *, online: bool = True) -> Place:
    return Place(AgentId(1, nid), online, load)


PLACES = [place(5), place(2, 3), place(9, online=False), place(3, 1)]


@pytest.mark.parametrize(
    ("fanout", "nids"),
    [("all", [2, 3, 5, 9]), ("one", [5]), (1, [5]), (2, [3, 5]), (3, [2, 3, 5]), (4, [2, 3, 5, 9]), (9, [2, 3, 5, 9])],
)
def test_who_is_online_comes_first_and_then_who_has_the_least_to_do(fanout: Fanout, nids: list[int]) -> None:
    assert [one.nid for one in placed(PLACES, fanout)] == nids


def test_of_nobody_nobody_is_chosen() -> None:
    assert [list(placed([], fanout)) for fanout in ("all", "one", 3)] == [[], [], []]
