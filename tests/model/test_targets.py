"""Which agents an expression means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.targets import (
    MAX_CHARS,
    NUMBERS,
    TEXTS,
    And,
    BadTarget,
    Candidate,
    Compared,
    Everything,
    Not,
    Numbered,
    Or,
    parse,
)
from deployer.protocol.ids import AgentId
from deployer.protocol.traits import Traits


def candidate(nid: int, **more: Any) -> Candidate:
    """An agent of grid 1."""
    return Candidate(
        id=AgentId(1, nid), **{"name": f"h{nid}", "state": "online", "version": "1.0", "traits": Traits(), **more}
    )


FLEET = [
    candidate(1, traits=Traits(roles=["web"], labels={"owner": "eve"}, rack="r1"), os="linux", memory=4.29, cores=2),
    candidate(
        7, traits=Traits(roles=["web", "db"], labels={"owner": "ann"}, rack="r1"), os="linux", memory=17.2, cores=8
    ),
    candidate(
        12, name="db-1.example.com", state="offline", traits=Traits(roles=["db"], rack="r2", labels={"o o": "[x]"})
    ),
]


@pytest.mark.parametrize(
    ("text", "nids"),
    [
        ("*", [1, 7, 12]),
        ("1:7", [7]),
        ("1:*", [1, 7, 12]),
        ("*:12", [12]),
        ("2:*", []),
        ("role=web", [1, 7]),
        ("role!=web", [12]),
        ("role=web and os=linux and not nid=7", [1]),
        ("role=db or nid=1 and rack=r2", [7, 12]),
        ("(role=db or nid=1) and rack=r1", [1, 7]),
        ("not (role=db or nid=1)", []),
        ("not not nid=1", [1]),
        ("memory>8", [7]),
        ("memory<=17.2", [1, 7]),
        ("memory!=4.29", [7, 12]),
        ("cores >= 2 AND cores < 8", [1]),
        ("name=db-?.example.com", [12]),
        ("name=H1", []),
        ("name=h*", [1, 7]),
        ("state=offline", [12]),
        ("label.owner=e*", [1]),
        ("label.owner=*", [1, 7]),
        ("label.none=*", []),
        ("label.owner!=eve", [7, 12]),
        ('rack="r1"', [1, 7]),
        ("rack='r?'", [1, 7, 12]),
        ("zone=*", []),
        ("cpu=*", []),
        ("  nid = 7  ", [7]),
    ],
)
def test_an_expression_means_the_agents_that_fit(text: str, nids: list[int]) -> None:
    assert [one.id.nid for one in FLEET if parse(text).takes(one)] == nids


def test_what_looks_like_a_pattern_and_is_no_wildcard_means_itself() -> None:
    odd = candidate(3, traits=Traits(labels={"a": "[x]", "b": "x\ny"}))
    assert parse('label.a="[x]"').takes(odd)
    assert not parse('label.a="[xyz]"').takes(candidate(3, traits=Traits(labels={"a": "x"})))
    assert parse("label.b=x*y").takes(odd)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: a comparison is missing at the end"),
        ("  ", "character 3: a comparison is missing at the end"),
        ("colour=red", "character 1: 'colour' is none of gid, nid"),
        ("label.=x", "character 1: 'label.' is none of"),
        ("role", "character 5: an operator such as = is missing at the end"),
        ("role web", "character 6: after 'role' comes one of ="),
        ("role=", "character 6: a value is missing at the end"),
        ("role==web", "character 6: a value is missing before '='"),
        ("role<web", "character 5: role is a text, which has = and != only"),
        ("nid=x", "character 5: nid is compared with a number, not 'x'"),
        ("memory>1e9", "character 8: memory is compared with a number"),
        ("nid=1 nid=2", "character 7: `and` or `or` is missing before 'nid'"),
        ("nid=1 and", "character 10: a comparison is missing at the end"),
        ("and nid=1", "character 1: 'and' is none of"),
        ("(nid=1", "character 7: `)` is missing before the end"),
        ("nid=1)", "character 6: `and` or `or` is missing before ')'"),
        ("not", "character 4: a comparison is missing at the end"),
        ('"role"=web', "character 2: a comparison is missing before 'role'"),
        ("role='web", 'character 6: "\'web" cannot stand here'),
        ("role=wéb", "character 7: 'éb' cannot stand here"),
        ("1:7:8", "character 1: '1:7:8' is none of"),
        ("x" * (MAX_CHARS + 1), "at most 1000 characters"),
        ("(" * 30 + "nid=1" + ")" * 30, "nested deeper than 20"),
        ("not " * 30 + "nid=1", "nested deeper than 20"),
        (" or ".join(["nid=1"] * 101), "at most 100 comparisons"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadTarget) as caught:
        parse(text)
    assert message in str(caught.value)


_values = st.text("abcXYZ09._:/@%+*?- éß'", min_size=0, max_size=8)
_comparisons = st.one_of(
    st.builds(Compared, st.sampled_from(TEXTS), st.sampled_from(("=", "!=")), _values),
    st.builds(
        Compared,
        st.sampled_from(NUMBERS),
        st.sampled_from(("=", "!=", "<", "<=", ">", ">=")),
        st.integers(0, 10**9).map(str),
    ),
    st.builds(Everything),
    st.builds(Numbered, st.none() | st.integers(1, 10**9), st.none() | st.integers(1, 10**9)),
)


def _deeper(inner: Any) -> Any:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))


@given(st.recursive(_comparisons, _deeper, max_leaves=10))
def test_an_expression_is_read_as_it_is_written(target: Any) -> None:
    again = parse(str(target))
    assert str(again) == str(target)
    assert [again.takes(one) for one in FLEET] == [target.takes(one) for one in FLEET]


@given(st.text(max_size=60) | st.text("()=<>!*:'\" andornot19ro.le", max_size=60))
def test_no_text_makes_the_parser_fail_otherwise(text: str) -> None:
    try:
        found = parse(text)
    except BadTarget:
        return
    assert [found.takes(one) for one in FLEET] == [parse(str(found)).takes(one) for one in FLEET]
