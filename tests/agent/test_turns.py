"""Whose turn it is: a table of stories, and any story against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from deployer_agent.commands.turns import Turns


def test_no_more_run_at_once_than_there_are_places() -> None:
    turns = Turns(2)
    for id_ in "abc":
        turns.join(id_, "")
    assert turns.take() == ["a", "b"]
    assert turns.waiting == 1
    assert turns.take() == []
    turns.leave("a")
    assert turns.take() == ["c"]


def test_those_of_a_queue_run_one_after_another_and_hold_up_nobody_else() -> None:
    turns = Turns(10)
    for id_, queue in (("a", "q"), ("b", "q"), ("c", ""), ("d", "r"), ("e", "q")):
        turns.join(id_, queue)
    assert turns.take() == ["a", "c", "d"]
    assert turns.waiting == 2
    turns.leave("b")  # it is killed while it waits
    turns.leave("a")
    assert turns.take() == ["e"]
    turns.leave("e")
    turns.join("f", "q")
    assert turns.take() == ["f"]


def test_the_highest_priority_has_its_turn_first_whoever_came_first() -> None:
    turns = Turns(1)
    for id_, queue, priority in (("a", "", 0), ("b", "", 1), ("c", "", 9), ("d", "q", 9), ("e", "", -1), ("f", "", 1)):
        turns.join(id_, queue, priority)
    order = []
    while taken := turns.take():
        order += taken
        turns.leave(taken[0])
        turns.leave("f")  # it is killed while it waits
    assert order == ["c", "d", "b", "a", "e"]
    assert turns.waiting == 0


def test_one_that_leaves_before_its_turn_is_passed_over() -> None:
    turns = Turns(1)
    for id_, queue in (("a", ""), ("b", ""), ("c", "q"), ("d", "q")):
        turns.join(id_, queue)
    assert turns.take() == ["a"]
    turns.leave("b")
    turns.leave("c")
    turns.leave("a")
    assert turns.take() == ["d"]


def test_what_ran_before_the_restart_has_its_place_whatever_their_number() -> None:
    turns = Turns(1)
    turns.hold("a", "q")
    turns.hold("b", "q")
    turns.join("c", "q")
    turns.join("d", "")
    assert turns.take() == []
    turns.leave("a")
    turns.leave("b")
    assert turns.take() == ["d"]
    turns.leave("d")
    assert turns.take() == ["c"]


@given(
    st.lists(st.tuples(st.sampled_from(["join", "leave", "take"]), st.integers(0, 9), st.sampled_from(["", "q", "r"])))
)
def test_any_story_keeps_the_rules(story: list[tuple[str, int, str]]) -> None:
    turns = Turns(3)
    waiting: list[tuple[str, str]] = []
    active: dict[str, str] = {}
    for what, number, queue in story:
        id_ = str(number)
        known = id_ in active or any(id_ == one for one, _ in waiting)
        if what == "join" and not known:
            turns.join(id_, queue)
            waiting.append((id_, queue))
        elif what == "leave" and known:
            turns.leave(id_)
            active.pop(id_, None)
            waiting = [one for one in waiting if one[0] != id_]
        elif what == "take":
            for taken in turns.take():
                its = next(queue for one, queue in waiting if one == taken)
                assert not its or its not in active.values()
                assert not its or taken == next(one for one, other in waiting if other == its)
                waiting.remove((taken, its))
                active[taken] = its
            assert len(active) <= 3
            free = [one for one, queue in waiting if not queue or queue not in active.values()]
            assert len(active) == 3 or not free
        assert turns.waiting == len(waiting)
