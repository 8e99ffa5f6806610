from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from deployer.kit.allowance import Allowance


def made(count: int = 3, most: int = 5) -> tuple[Allowance, Clock]:
    clock = Clock()
    return Allowance(count, 60.0, clock, most), clock


def test_so_many_attempts_are_allowed_in_a_time() -> None:
    allowance, clock = made()
    assert [allowance.spend("a") for _ in range(5)] == [True, True, True, False, False]
    assert allowance.wait_s("a") == 60
    assert allowance.wait_s("b") == 0
    clock.advance(59)
    assert allowance.wait_s("a") == 1
    clock.advance(1)
    assert allowance.wait_s("a") == 0
    assert allowance.spend("a")


def test_new_keys_past_the_most_share_one_allowance_until_others_have_ended() -> None:
    allowance, clock = made()
    for key in "abcde":
        assert allowance.spend(key)
    assert [allowance.spend(f"new{n}") for n in range(4)] == [True, True, True, False]
    assert allowance.wait_s("another") == 60
    assert allowance.wait_s("a") == 0
    clock.advance(60)
    assert allowance.wait_s("another") == 0
    assert allowance.spend("another")


@given(st.lists(st.tuples(st.text(max_size=2), st.floats(0, 100)), max_size=200))
def test_memory_is_bounded_and_no_key_gets_more_than_its_count(steps: list[tuple[str, float]]) -> None:
    allowance, clock = made()
    taken: dict[str, list[float]] = {}
    for key, pause in steps:
        clock.advance(pause)
        if allowance.spend(key):
            taken.setdefault(key, []).append(clock.seconds())
        assert len(allowance) <= 6
    for times in taken.values():
        for start in times:
            assert sum(start <= one < start + 60 for one in times) <= 2 * 3
