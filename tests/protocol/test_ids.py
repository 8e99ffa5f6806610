import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.ids import MAX_GRID, AgentId, new_id, node


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_node_is_plain_and_can_be_read_back(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_%-]+", node(name))
    assert unquote(node(name)) == (name or "unknown")


def test_a_path_as_a_name_cannot_leave_its_place() -> None:
    assert node("../../etc/passwd") == "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"


@pytest.mark.parametrize("text", ["1:1", "2147483647:3"])
def test_agent_ids_are_read_as_they_are_written(text: str) -> None:
    assert str(AgentId.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1:",
        ":1",
        "0:1",
        "1:0",
        "01:1",
        "1:1:1",
        " 1:1",
        "1:1\n",
        "-1:1",
        "1:*",
        f"{MAX_GRID + 1}:1",
        "\u0661:1",
    ],
)
def test_what_is_no_agent_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="gid:nid"):
        AgentId.parse(text)


def test_made_ids_sort_by_time_and_say_that_they_are_version_7() -> None:
    earlier, later = new_id(1_700_000_000.0), new_id(1_700_000_000.001)
    assert earlier < later
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", earlier)
    assert new_id(1.0) != new_id(1.0)
