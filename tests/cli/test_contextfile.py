"""Changes of the context file: what people wrote stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.cli.contextfile import with_context, with_current, without_context
from deployer.cli.contexts import BadContext

HAND = """# mine
current = "a"   # the first

[contexts.a]   # here
url = "http://a"
token_file = "t"
# the second
[contexts."b.example"]
url = 'http://b'
"""


def test_a_context_is_added_and_is_the_current_one() -> None:
    assert with_context("", "a", {"url": "u"}) == 'current = "a"\n[contexts."a"]\nurl = "u"\n'
    changed = with_context(HAND, "c", {"url": "http://c"})
    assert changed.startswith('current = "c"\n# mine\n')
    assert tomllib.loads(changed)["contexts"] == tomllib.loads(HAND)["contexts"] | {"c": {"url": "http://c"}}


@pytest.mark.parametrize("name", ["a", "b.example"])
def test_a_context_is_replaced_or_removed(name: str) -> None:
    changed = with_context(HAND, name, {"url": "new"})
    assert tomllib.loads(changed)["contexts"][name] == {"url": "new"}
    gone = tomllib.loads(without_context(HAND, name))
    assert name not in gone["contexts"]
    assert gone.get("current") == (None if name == "a" else "a")
    assert "# mine" in without_context(HAND, name)


def test_another_one_becomes_the_current_one() -> None:
    assert tomllib.loads(with_current(HAND, "b.example"))["current"] == "b.example"


@pytest.mark.parametrize(
    "text", ['contexts = {a = {url = "u"}}\n', '[contexts]\na.url = "u"\n', "[contexts]\n[contexts.a.more]\nx = 1\n"]
)
def test_a_file_that_is_written_otherwise_is_left_alone(text: str) -> None:
    with pytest.raises(BadContext, match="change it by hand"):
        with_context(text, "a", {"url": "v"})


@given(st.text(max_size=20), st.sampled_from(["a", "b.example", "new"]))
def test_any_value_comes_back_or_is_refused(value: str, name: str) -> None:
    try:
        changed = with_context(HAND, name, {"url": value})
    except BadContext:
        return
    assert tomllib.loads(changed)["contexts"][name] == {"url": value}
