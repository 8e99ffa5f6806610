from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.thinning import KEPT, NOTHING, PROTECTED, Schedule, Step, parse, surplus, survivors, victim
from deployer.protocol.levels import VALID

HOUR, DAY = 3_600_000, 86_400_000
levels = st.sampled_from(sorted(VALID))


def test_a_schedule_says_which_share_is_kept_until_when() -> None:
    schedule = parse("all:1h, 1/10:1d, 1/100:30d")
    assert schedule == Schedule((Step(1, HOUR), Step(10, DAY), Step(100, 30 * DAY)))
    assert [schedule.limit_ms(tier) for tier in range(5)] == [HOUR, DAY, 30 * DAY, 0, 0]
    assert [schedule.next_tier(tier) for tier in range(4)] == [1, 2, KEPT, KEPT]
    assert [schedule.every(tier) for tier in (0, 1, 2, 3, KEPT)] == [1, 10, 100, NOTHING, NOTHING]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not all:TIME"),
        ("all", "not all:TIME"),
        ("all:1x", "not all:TIME"),
        ("all:0h", "not all:TIME"),
        ("1/0:1h", "not all:TIME"),
        ("1/10:1h", "begin with all"),
        ("all:1d, 1/10:1h", "further back"),
        ("all:1h, 1/10:1d, 1/15:30d", "no part of"),
        ("all:1h, all:1d", "no part of"),
        ("all:1h,1/2:2h,1/4:3h,1/8:4h,1/16:5h", "more than 4"),
        ("all:1h; rm", "not all:TIME"),
    ],
)
def test_what_is_no_schedule_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@given(st.lists(levels, max_size=60), st.integers(0, 10**12))
def test_what_a_share_keeps_is_part_of_what_the_larger_share_kept_in_order(found: list[int], entry: int) -> None:
    placed = list(enumerate(found))
    shares = [survivors(str(entry), placed, every) for every in (1, 5, 50, NOTHING)]
    assert shares[0] == list(range(len(found)))
    for larger, smaller in pairwise(shares):
        assert set(smaller) <= set(larger)
        assert smaller == sorted(smaller)
        assert {number for number, level in placed if level in PROTECTED} <= set(smaller)
    assert [found[number] in PROTECTED for number in shares[-1]] == [True] * len(shares[-1])


@given(st.lists(levels, min_size=1, max_size=60))
def test_it_is_the_same_whether_messages_were_thinned_before_or_not(found: list[int]) -> None:
    placed = list(enumerate(found))
    once = [placed[number] for number in survivors("7-1", placed, 5)]
    assert [once[n] for n in survivors("7-1", once, 25)] == [placed[n] for n in survivors("7-1", placed, 25)]


def test_a_tenth_is_about_a_tenth() -> None:
    placed = [(number, 1) for number in range(100_000)]
    assert 9_000 < len(survivors("1-1", placed, 10)) < 11_000


@dataclass
class Pile:
    """One stream as the rule sees it: entries, oldest first, of messages with a level and a size."""

    entries: list[list[tuple[int, int]]]
    kept: list[list[tuple[int, int]]] = field(default_factory=list)

    def open_bytes(self) -> int:
        return sum(size for entry in self.entries for _, size in entry)

    def kept_bytes(self) -> int:
        return sum(size for entry in self.kept for _, size in entry)


def trimmed(piles: dict[str, Pile], most: int) -> list[tuple[int, str]]:
    """Do what the rule says until it has nothing to say; what went, as level and stream, in order."""
    gone = []
    while True:
        chosen = victim(
            {name: size for name, pile in piles.items() if (size := pile.open_bytes())},
            {name: size for name, pile in piles.items() if (size := pile.kept_bytes())},
            most,
        )
        if chosen is None:
            return gone
        pile = piles[chosen.stream]
        if chosen.part == "kept":
            gone += [(level, chosen.stream) for level, _ in pile.kept.pop(0)]
            continue
        entry = pile.entries.pop(0)
        stay = survivors("x", list(enumerate(level for level, _ in entry)), NOTHING)
        gone += [(level, chosen.stream) for number, (level, _) in enumerate(entry) if number not in stay]
        if stay:
            pile.kept.append([entry[number] for number in stay])


messages = st.lists(st.tuples(levels, st.integers(1, 50)), min_size=1, max_size=5)
piles = st.dictionaries(st.sampled_from("abc"), st.lists(messages, min_size=1, max_size=6).map(Pile), min_size=1)


@given(piles, st.integers(0, 500))
def test_there_are_never_more_bytes_than_there_may_be(found: dict[str, Pile], most: int) -> None:
    trimmed(found, most)
    assert sum(pile.open_bytes() + pile.kept_bytes() for pile in found.values()) <= most


@given(piles, st.integers(0, 500))
def test_nothing_protected_goes_before_something_unprotected(found: dict[str, Pile], most: int) -> None:
    gone = [level in PROTECTED for level, _ in trimmed(found, most)]
    assert gone == sorted(gone)
    if any(gone):
        assert not any(level not in PROTECTED for pile in found.values() for e in pile.entries for level, _ in e)


@given(piles, st.integers(0, 500))
def test_what_is_within_its_bytes_stays_as_it_is(found: dict[str, Pile], most: int) -> None:
    total = sum(pile.open_bytes() for pile in found.values())
    assert trimmed(found, max(most, total)) == []


@given(st.lists(st.integers(1, 100), min_size=1), st.integers(1, 1000))
def test_no_more_goes_than_has_to(sizes: list[int], over: int) -> None:
    count = surplus(sizes, over)
    assert sum(sizes[: count - 1]) < over
    assert count == len(sizes) or sum(sizes[:count]) >= over
