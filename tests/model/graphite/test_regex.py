"""Regular expressions of users: what they find, and that none takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.graphite.budget import Budget
from deployer.model.graphite.pike import Program
from deployer.model.graphite.problems import TooMuchError, WrongTargetError
from deployer.model.graphite.regex import MAX_WAYS, Regex, _ways
from deployer.model.graphite.regextree import parse


@pytest.mark.parametrize(
    ("pattern", "template", "text", "its"),
    [
        ("(^.*$)", r"\1 A", "sumSeries(a.*)", "sumSeries(a.*) A"),
        (r"^.*\.([^.]+)\.cpu.*$", r"\1", "dc.web-1.cpu.idle", "web-1"),
        (r"(\d+)", r"<\1>", "a1b22", "a<1>b<22>"),
        (r"(?P<host>h\d)\.(x|y)", r"\g<host>-\2", "h1.y.z", "h1-y.z"),
        ("x*", "-", "abxd", re.sub("x*", "-", "abxd")),
        ("", "-", "ab", "-a-b-"),
        ("(?i)CPU", "mem", "a.cpu", "a.mem"),
        (r"(a)|(b)", r"[\1\2]", "ab", "[a][b]"),
        (r"\.", r"\\", "a.b", r"a\b"),
        ("[[]", "", "a[b", "ab"),
        ("nothing", "x", "a.b", "a.b"),
        (r"(\w+)\.(\w+)\.(\w+)", r"\3.\1", "a.b.c", "c.a"),
        (r"\bweb\b", "x", "web.webs", "x.webs"),
        ("a{2,3}?", "x", "aaaa", "xx"),
        (r"(.*)\.(.*)\.(.*)", r"\1-\2", "abcdefgh" * 12 + ".b.c", "abcdefgh" * 12 + "-b"),
    ],
)
def test_matches_are_replaced_as_python_does(pattern: str, template: str, text: str, its: str) -> None:
    assert Regex(pattern).replaced(template, text, Budget()) == its


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            r"(a)\1",
            "(?=a)b",
            "(?!a)b",
            "(?<=a)b",
            "(?<!a)b",
            "(?P=x)",
            "(?s)a",
            "(?>a)",
            "a**",
            "a*+",
            "*a",
            "(a",
            "a)",
        ),
        *("[a", "[z-a]", "a{3,2}", "a{999}", "^*", "\\", r"\A", "(" * 30 + ")" * 30, "a" * 300, "a{2}{3}", r"\x41"),
    ],
)
def test_what_is_not_of_the_kind_that_is_taken_is_refused(pattern: str) -> None:
    with pytest.raises(WrongTargetError):
        Regex(pattern)


def test_a_template_with_a_group_that_is_not_there_is_refused() -> None:
    for template in (r"\2", r"\g<x>"):
        with pytest.raises(WrongTargetError, match="no group"):
            Regex("(a)").replaced(template, "a", Budget())


def test_a_name_does_not_grow_without_end() -> None:
    with pytest.raises(TooMuchError, match="characters"):
        Regex("a").replaced("x" * 100, "a" * 100, Budget())


PATHOLOGICAL = [
    "(a+)+$",
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+$",
    "(.*)*x",
    "(.*a){20}",
    "(a?){30}a{30}",
    ".*.*.*.*=.*",
    "(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(\w+\s?)*$x",
    "((a*)*)*b",
    "a*a*a*a*a*a*b",
]


@pytest.mark.parametrize("pattern", PATHOLOGICAL)
def test_what_makes_others_backtrack_costs_no_more_than_the_text_is_long(pattern: str) -> None:
    costs = []
    for chars in (500, 1000):
        budget = Budget(10**9)
        Regex(pattern).fits("a" * chars + "!", budget)
        costs.append(10**9 - budget.left)
    assert costs[1] < 2.5 * costs[0] < 10**6


@pytest.mark.parametrize("pattern", PATHOLOGICAL)
def test_pythons_matcher_is_asked_for_none_that_has_many_ways(pattern: str) -> None:
    assert _ways(parse(pattern).tree, 500) > MAX_WAYS


def test_a_search_ends_where_the_budget_does() -> None:
    with pytest.raises(TooMuchError):
        Regex("(a|b)*c").fits("ab" * 1000, Budget(1000))


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\d", "a"])


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    counts = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}"])
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"({one})"),
        st.tuples(inner, counts).map(lambda two: f"(?:{two[0]}){two[1]}"),
    )


PATTERNS = st.recursive(_ATOMS, _more, max_leaves=6)


@given(PATTERNS, st.sampled_from(["", "^"]), st.sampled_from(["", "$", r"\b"]), st.text("ab1.", max_size=8))
def test_both_matchers_find_the_same(inner: str, before: str, behind: str, text: str) -> None:
    pattern = f"{before}{inner}{behind}"
    ours = Program(parse(pattern)).find(text, 0, Budget())
    found = re.search(pattern, text)
    assert (ours is None) is (found is None)
    if found is not None and ours is not None:
        assert ours[:2] == found.span()
