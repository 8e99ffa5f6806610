"""The checker finds what it is there for."""

import pytest
from msgspec.structs import replace

from chaos.checker import check
from chaos.histories import Asked, Histories, Stored

OK = Stored("OK", data="0", finished=2000)
UNKNOWN = Stored("ERROR", "AGENT_RESTARTED", "unknown", finished=9000)
GOOD = Histories(
    [Asked("a", "mark", 1, 0, 1000, acknowledged=1100), Asked("b", "daemon", 1, 1, 1000, 1100, cancelled=2000)],
    {"a": "OK", "b": "KILLED"},
    {("a", 1): 1, ("b", 1): 1, ("b", 2): 1},
    {"a": OK, "b": Stored("KILLED", finished=3000)},
    {1: []},
)
ASKED = GOOD.clients


def test_what_went_well_is_good() -> None:
    verdict = check(GOOD)
    assert verdict.is_good
    assert (verdict.acknowledged, verdict.lost, verdict.doubled, verdict.open, verdict.unknown) == (2, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("histories", "word"),
    [
        (replace(GOOD, clients=[]), "the history of clients is empty"),
        (replace(GOOD, marks={}), "the history of side effects is empty"),
        (replace(GOOD, redis={}), "the history of Redis is empty"),
        (replace(GOOD, told={}), "the history of what is told is empty"),
        (replace(GOOD, clients=[replace(one, acknowledged=None) for one in ASKED]), "no job was acknowledged"),
        (replace(GOOD, redis={"b": GOOD.redis["b"]}), "lost: a "),
        (replace(GOOD, marks={**GOOD.marks, ("a", 1): 2}), "doubled: a run 1"),
        (replace(GOOD, redis={**GOOD.redis, "a": Stored("RUNNING")}), "open: a is RUNNING"),
        (replace(GOOD, redis={**GOOD.redis, "a": UNKNOWN}), "unexplained: a "),
        (replace(GOOD, redis={**GOOD.redis, "a": UNKNOWN}, deaths={2: [5000]}), "unexplained: a "),
        (replace(GOOD, redis={**GOOD.redis, "a": UNKNOWN}, deaths={1: [12_000]}), "unexplained: a "),
        (replace(GOOD, marks={("b", 1): 1}), "wrong: a is OK without having run"),
        (replace(GOOD, redis={**GOOD.redis, "a": replace(OK, data="7")}), "wrong: a is OK without"),
        (replace(GOOD, redis={**GOOD.redis, "a": Stored("KILLED")}), "wrong: a has an end that nothing explains"),
        (replace(GOOD, redis={**GOOD.redis, "a": Stored("ERROR", "NO_SPACE")}), "wrong: a has an end"),
        (replace(GOOD, clients=[ASKED[0], replace(ASKED[1], cancelled=None)]), "wrong: b has ended by itself"),
        (replace(GOOD, redis={**GOOD.redis, "c": OK}), "unreal: nobody asked for c"),
        (replace(GOOD, marks={**GOOD.marks, ("c", 1): 1}), "unreal: c has run and is not in Redis"),
        (replace(GOOD, told={"a": "RUNNING", "b": "KILLED"}), "untold: a is OK, and clients are told RUNNING"),
    ],
)
def test_what_must_not_be_is_found(histories: Histories, word: str) -> None:
    complaints = check(histories).complaints
    assert any(one.startswith(word) for one in complaints), complaints


def test_an_unknown_end_is_explained_by_the_death_of_its_agent() -> None:
    told = {**GOOD.told, "a": "ERROR"}
    verdict = check(replace(GOOD, redis={**GOOD.redis, "a": UNKNOWN}, told=told, deaths={1: [5000]}))
    assert verdict.is_good
    assert (verdict.unknown, verdict.deaths) == (1, 1)
