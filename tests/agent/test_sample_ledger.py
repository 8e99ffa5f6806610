"""What processes consume is added up without going backwards and without counting anything twice."""

from hypothesis import given
from hypothesis import strategies as st

from deployer_agent.stats.ledger import NOTHING, Ledger, plus
from deployer_agent.stats.owners import owners
from deployer_agent.stats.source import Network, Sighting
from deployer_agent.stats.traffic import Traffic


def seen(pid: int, parent: int = 1, start: float = 1.0, **counters: int) -> Sighting:
    return Sighting(pid, parent, start, "key", **counters)  # type: ignore[arg-type]  # all of them are whole numbers


def sums(*rounds: list[Sighting]) -> list[tuple[int, int, int]]:
    """The key's sum after each sample."""
    ledger, total, found = Ledger(), NOTHING, []
    for one in rounds:
        total = plus(total, ledger.book(one).get("key", NOTHING))
        found.append(total)
    return found


def test_what_a_process_consumed_before_it_was_first_seen_counts() -> None:
    assert sums([seen(5, cpu_ms=70, waited_ms=20, read_bytes=3, write_bytes=4)]) == [(90, 3, 4)]


def test_what_ended_keeps_its_part() -> None:
    assert sums([seen(5), seen(6, 5, cpu_ms=100)], [seen(5)], [seen(5, cpu_ms=7)]) == [
        (100, 0, 0),
        (100, 0, 0),
        (107, 0, 0),
    ]


def test_a_child_that_was_waited_for_counts_once_and_with_its_last_part() -> None:
    before = [seen(5), seen(6, 5, cpu_ms=100, read_bytes=10, write_bytes=20)]
    after = [seen(5, waited_ms=130, faults=9, read_bytes=11, write_bytes=25)]
    assert sums(before, after) == [(100, 10, 20), (130, 11, 25)]


def test_a_child_that_was_never_seen_counts_when_it_was_waited_for() -> None:
    assert sums([seen(5)], [seen(5, waited_ms=500, faults=9)]) == [(0, 0, 0), (500, 0, 0)]


def test_a_parent_that_waits_for_nobody_owes_nothing() -> None:
    """It ignores SIGCHLD: what it reads itself is not its child's."""
    before = [seen(5), seen(6, 5, read_bytes=1000)]
    assert sums(before, [seen(5, read_bytes=400)], [seen(5, read_bytes=800)])[-1] == (0, 1800, 0)


def test_a_parent_that_was_read_before_it_waited_pays_at_the_next_sample() -> None:
    before = [seen(5), seen(6, 5, cpu_ms=100, write_bytes=20)]
    after = [seen(5, waited_ms=110, faults=9, write_bytes=22)]
    assert sums(before, [seen(5)], after) == [(100, 0, 20), (100, 0, 20), (110, 0, 22)]


def test_a_debt_does_not_outlive_the_next_sample() -> None:
    before = [seen(5), seen(6, 5, cpu_ms=100)]
    assert sums(before, [seen(5)], [seen(5)], [seen(5, waited_ms=30, faults=4)])[-1] == (130, 0, 0)


def test_grandchildren_come_by_way_of_their_parent() -> None:
    before = [seen(5), seen(6, 5, cpu_ms=10), seen(7, 6, cpu_ms=100)]
    assert sums(before, [seen(5, waited_ms=125, faults=9)])[-1] == (125, 0, 0)


def test_a_number_that_was_given_anew_begins_with_nothing() -> None:
    assert sums([seen(5, cpu_ms=100)], [seen(5, start=2.0, cpu_ms=30)]) == [(100, 0, 0), (130, 0, 0)]


def test_what_could_not_be_read_for_once_is_not_counted_anew() -> None:
    ledger = Ledger()
    ledger.book([seen(5, cpu_ms=100, read_bytes=7)])
    assert ledger.book([], unreadable={5}) == {}
    assert ledger.book([seen(5, cpu_ms=110, read_bytes=0)]) == {"key": (10, 0, 0)}
    assert ledger.book([seen(5, cpu_ms=110, read_bytes=8)]) == {"key": (0, 1, 0)}


def test_a_process_that_moves_to_another_key_takes_nothing_along() -> None:
    ledger = Ledger()
    ledger.book([seen(5, cpu_ms=100)])
    assert ledger.book([Sighting(5, 1, 1.0, "other", cpu_ms=130)]) == {"other": (30, 0, 0)}


class World:
    """Processes that work, fork, end and are waited for, as the kernel keeps their numbers."""

    def __init__(self) -> None:
        self.truth = 0
        self.lines: dict[int, list[int]] = {1: [0, 0, 0, 0]}  # parent, own, waited, faults
        self.next = 2

    def fork(self, pick: int) -> None:
        self.lines[self.next] = [self._pick(pick), 0, 0, 0]
        self.next += 1

    def work(self, pick: int, amount: int) -> None:
        self.lines[self._pick(pick)][1] += amount
        self.truth += amount

    def end(self, pick: int, *, waited: bool) -> None:
        """Leaves only, so that everything stays in the tree."""
        pid = self._pick(pick)
        if pid != 1 and not any(line[0] == pid for line in self.lines.values()):
            parent, own, below, faults = self.lines.pop(pid)
            if waited:
                self.lines[parent][2] += own + below
                self.lines[parent][3] += 1 + faults

    def see(self, pid: int) -> Sighting:
        """The io of a process is its own and that of the children that it waited for."""
        parent, own, waited, faults = self.lines[pid]
        io = own + waited
        return Sighting(pid, parent, float(pid), "key", own, waited, faults, io, io)

    def _pick(self, pick: int) -> int:
        return sorted(self.lines)[pick % len(self.lines)]


PICK = st.integers(0, 50)
WORK = st.tuples(st.just("work"), PICK, st.integers(0, 1000))
FORK = st.tuples(st.just("fork"), PICK, st.just(0))
WAIT = st.tuples(st.just("wait"), PICK, st.just(0))
REAP = st.tuples(st.just("reap"), PICK, st.just(0))
SAMPLE = st.tuples(st.just("sample"), st.just(0), st.just(0))


def act(world: World, what: str, pick: int, amount: int) -> None:
    if what == "work":
        world.work(pick, amount)
    elif what == "fork":
        world.fork(pick)
    elif what in {"wait", "reap"}:
        world.end(pick, waited=what == "wait")


@given(st.lists(st.one_of(WORK, FORK, WAIT, SAMPLE), max_size=60))
def test_where_all_are_waited_for_the_sum_is_the_truth(steps: list[tuple[str, int, int]]) -> None:
    world, ledger, total = World(), Ledger(), NOTHING
    for what, pick, amount in [*steps, ("sample", 0, 0)]:
        if what == "sample":
            total = plus(total, ledger.book([world.see(pid) for pid in world.lines]).get("key", NOTHING))
            assert total == (world.truth,) * 3
        act(world, what, pick, amount)


@given(st.lists(st.one_of(WORK, FORK, WAIT, REAP, SAMPLE), max_size=60), st.data())
def test_no_sum_falls_or_exceeds_the_truth_whatever_happens_in_mid_walk(
    steps: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    world, ledger, total = World(), Ledger(), NOTHING
    for what, pick, amount in [*steps, ("sample", 0, 0)]:
        if what == "sample":
            walked = []
            for pid in sorted(world.lines):
                if pid in world.lines:
                    walked.append(world.see(pid))
                for step in data.draw(st.lists(st.one_of(WORK, WAIT, REAP), max_size=2)):
                    act(world, *step)
            grown = ledger.book(walked).get("key", NOTHING)
            assert min(grown) >= 0
            total = plus(total, grown)
            assert max(total) <= world.truth
        act(world, what, pick, amount)


def test_each_process_belongs_to_its_nearest_root() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 11, 20: 11, 21: 20, 30: 1}
    assert owners(parents, {"a": [10], "b": [20, 99]}, {}) == {10: "a", 11: "a", 12: "a", 20: "b", 21: "b"}


def test_what_lost_its_parent_stays_where_it_was_seen_with_its_children() -> None:
    parents = {1: 0, 10: 1, 12: 1, 13: 12}
    assert owners(parents, {"agent": [1], "a": [10]}, {12: (11, "a"), 13: (12, "a")})[13] == "a"


def test_what_is_not_named_for_once_stays_where_it_was_seen() -> None:
    assert owners({1: 0, 12: 1}, {"a": []}, {12: (1, "a")}) == {12: "a"}


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9)), st.dictionaries(st.sampled_from("ab"), st.lists(PICK)))
def test_any_walk_comes_to_an_end(parents: dict[int, int], roots: dict[str, list[int]]) -> None:
    found = owners(parents, roots, {})
    assert found.keys() <= parents.keys()
    assert all(found[pid] in roots for pid in found)


def test_connections_that_closed_stay_in_the_sum_and_new_ones_count_whole() -> None:
    traffic = Traffic()
    assert traffic.book(Network({7}, {(7, 1): (10, 20)}, {})) == (10, 20)
    assert traffic.book(Network({7, 8}, {(7, 1): (15, 20), (8, 1): (1, 2)}, {})) == (6, 2)
    assert traffic.book(Network(set(), {}, {})) == (0, 0)
    assert traffic.book(Network({7}, {(7, 2): (3, 3)}, {})) == (3, 3)
    assert traffic.total == (19, 25)


def test_a_socket_that_an_answer_left_out_is_not_new_when_it_comes_again() -> None:
    traffic = Traffic()
    traffic.book(Network({7}, {(7, 1): (10, 20)}, {}))
    assert traffic.book(Network({7}, {}, {})) == (0, 0)
    assert traffic.book(Network(set(), {}, {}, complete=False)) == (0, 0)
    assert traffic.book(Network({7}, {(7, 1): (12, 20)}, {})) == (2, 0)


def test_another_namespace_counts_from_its_first_sight_and_never_backwards() -> None:
    traffic = Traffic()
    assert traffic.book(Network(set(), {}, {"net:[2]": (1000, 1000)})) == (0, 0)
    assert traffic.book(Network(set(), {}, {"net:[2]": (1005, 1001)})) == (5, 1)
    assert traffic.book(Network(set(), {}, {"net:[2]": (1, 1)})) == (0, 0)
    assert traffic.book(Network(set(), {}, {"net:[2]": (2, 3)})) == (1, 2)
