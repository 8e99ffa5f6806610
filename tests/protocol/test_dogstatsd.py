"""Events and checks of DogStatsD by tables; any line is a notice or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.protocol.dogstatsd import Notice, is_notice, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("_e{2,4}:Up|done", Notice("events", 5, "Up: done")),
        ("_e{2,0}:Up|", Notice("events", 5, "Up")),
        ("_e{5,6}:a|b:c|x|y\\nz", Notice("events", 5, "a|b:c: x|y\nz")),
        ("_e{2,4}:Up|done|t:error", Notice("events", 8, "Up: done", fields=(("alert_type", "error"),))),
        ("_e{2,4}:Up|done|t:warning", Notice("events", 7, "Up: done", fields=(("alert_type", "warning"),))),
        ("_e{2,4}:Up|done|t:success", Notice("events", 5, "Up: done", fields=(("alert_type", "success"),))),
        ("_e{2,4}:Up|done|t:other", Notice("events", 5, "Up: done", fields=(("alert_type", "other"),))),
        (
            "_e{2,4}:Up|done|d:1700000000|h:web1|k:deploy|p:low|s:git|#env:prod,flag",
            Notice(
                "events",
                5,
                "Up: done",
                "web1",
                1_700_000_000,
                (
                    ("aggregation_key", "deploy"),
                    ("priority", "low"),
                    ("source_type", "git"),
                    ("tag.env", "prod"),
                    ("tag.flag", "true"),
                ),
            ),
        ),
        ("_e{2,4}:Up|done|d:later", Notice("events", 5, "Up: done")),
        ("_e{2,4}:Up|done|d:99999999999999", Notice("events", 5, "Up: done")),
        ("_e{2,2}:é|é", Notice("events", 5, "é: é")),
        ("_e{1,1}:é|é", Notice("events", 5, "é: é")),
        ("_sc|db|0", Notice("checks", 5, "db is ok", fields=(("check", "db"), ("status", "ok")))),
        ("_sc|db|1|m:a|b", Notice("checks", 7, "db is warning: a|b", fields=(("check", "db"), ("status", "warning")))),
        (
            "_sc|db|2|d:1700000000|h:web1|#env:prod|m:down",
            Notice(
                "checks",
                9,
                "db is critical: down",
                "web1",
                1_700_000_000,
                (("check", "db"), ("status", "critical"), ("tag.env", "prod")),
            ),
        ),
        ("_sc|db|3", Notice("checks", 7, "db is unknown", fields=(("check", "db"), ("status", "unknown")))),
    ],
)  # fmt: skip
def test_events_and_checks_are_read(line: str, expected: Notice) -> None:
    assert is_notice(line)
    assert parse(line) == expected


@pytest.mark.parametrize(
    "line",
    ["_e{", "_e{}:", "_e{a,b}:x|y", "_e{2,9}:Up|done", "_e{9,9}:Up|done", "_e{2,4}Up|done", "_e{2,3}:Up|done",
     "_e{999999,1}:a|b", "_sc|", "_sc|db", "_sc|db|4", "_sc||0", "_sc|db|critical"],
)  # fmt: skip
def test_what_is_wrong_is_none(line: str) -> None:
    assert parse(line) is None


@given(st.sampled_from(["_e{", "_sc|", "_e{1,1}:"]), st.text(max_size=100))
def test_any_line_is_a_notice_or_none(front: str, rest: str) -> None:
    notice = parse(front + rest)
    assert notice is None or notice.level in {5, 7, 8, 9}
