import pytest

from deployer.model.levelcounts import SYSLOG, LevelCounts
from deployer.model.series import Datum


def test_messages_are_counted_by_company_source_and_level() -> None:
    counts = LevelCounts()
    counts.add_of_agent("acme", "1:7", 9)
    counts.add_of_agent("acme", "1:7", 9, 4)
    counts.add("acme", SYSLOG, 5)
    counts.add("other", SYSLOG, 5, 2)
    assert counts.take(60) == {
        "acme": [Datum("agents.1.7.messages.9", 60, 5.0, "sum"), Datum("logs.syslog.5", 60, 1.0, "sum")],
        "other": [Datum("logs.syslog.5", 60, 2.0, "sum")],
    }
    assert counts.take(90) == {}


def test_there_are_only_so_many_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployer.model.levelcounts.MOST", 2)
    counts = LevelCounts()
    for level in (1, 2, 3, 1):
        counts.add("acme", SYSLOG, level)
    assert [one.value for one in counts.take(0)["acme"]] == [2.0, 1.0]
    assert counts.over == 1
