"""Batches: their items, and where an item goes in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.batches import BadBatch, Item, Range, filled, has_place, items, with_item


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Range(first=1, last=10, by=3), [1, 4, 7, 10]),
        (Range(first=1, last=9, by=3), [1, 4, 7]),
        (Range(first=3, last=1, by=-1), [3, 2, 1]),
        (Range(first=5, last=5), [5]),
        (["a", 2], ["a", 2]),
    ],
)
def test_items_are_those_that_are_named(batch: Range | list[Item], expected: list[Item]) -> None:
    assert items(batch, 10) == expected


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (Range(first=1, last=0), "no items"),
        (Range(first=-(10**15), last=10**15), "2000000000000001 items are more than the 10"),
        (Range(first=1, last=5, by=0), "a step of 0"),
        ([], "no items"),
        (list(range(11)), "11 items"),
    ],
)
def test_what_is_no_batch_is_refused_without_being_counted_out(batch: Range | list[Item], message: str) -> None:
    with pytest.raises(BadBatch, match=message):
        items(batch, 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--n=$item", "--n=7"),
        ("$item$item", "77"),
        ("$$item", "$item"),
        ("$items", "$items"),
        ("$itemised ${item}", "$itemised ${item}"),
        ("no", "no"),
    ],
)
def test_an_item_goes_where_its_place_is(text: str, expected: str) -> None:
    assert filled(text, 7) == expected


@given(st.text(), st.text())
def test_what_an_item_says_is_never_read_as_a_place(text: str, item: str) -> None:
    assert filled("<$item>", "$item" + item) == f"<$item{item}>"
    assert filled(text.replace("$", ""), item) == text.replace("$", "")


def test_only_the_list_of_arguments_is_filled() -> None:
    args = json.dumps({"cmd": "$item", "args": ["$item", 5], "env": {"A": "$item"}}).encode()
    assert json.loads(with_item(args, "x")) == {"cmd": "$item", "args": ["x", 5], "env": {"A": "$item"}}
    assert has_place(args)
    assert not has_place(b'{"cmd": "$item", "args": ["$$item"]}')
    assert not has_place(b'{"cmd": "x"}')
