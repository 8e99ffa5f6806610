"""How long, until when and how much, as people say it on the command line."""

from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.cli.sizes import Size, size
from deployer.cli.spans import Moment, Past, Span, seconds
from support.cli import Cli
from support.scripted import ScriptedMaster, answer

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("0.25", 0.25)],
)
def test_a_span_is_seconds_or_has_a_unit(text: str, value: float) -> None:
    assert seconds(text) == value
    assert type(seconds(text)) is type(value)


@pytest.mark.parametrize("text", ["", "m", "-5", "5 m", "5M", "5w", "\u0665", "1e3", "nan", ".5", "99999999999"])
def test_other_words_are_no_span(text: str) -> None:
    assert seconds(text) is None


@given(st.text(max_size=8))
def test_any_text_is_a_span_or_is_refused_in_words(text: str) -> None:
    if seconds(text) is None and text != "-1":
        with pytest.raises(click.BadParameter, match="is no time as"):
            Span(forever=True).convert(text, None, None)
    else:
        assert Span(fractions=True, forever=True).convert(text, None, None) >= -1


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2027-01-01 02:00+02:00", "2027-01-01T00:00:00Z"),
        ("5m", "2027-01-15T08:05:00Z"),
        ("1d", "2027-01-16T08:00:00Z"),
        ("90", "2027-01-15T08:01:30Z"),
    ],
)
def test_a_moment_is_a_time_or_from_now_on(value: str, utc: str) -> None:
    assert Moment(lambda: NOW).convert(value, None, None) == utc


def test_a_moment_without_a_zone_is_ours() -> None:
    assert Moment().convert("2027-01-01T12:00", None, None).endswith("Z")


@pytest.mark.parametrize("value", ["", "soon", "-5m", "2027-13-01T00:00:00Z", "9999999999d", "0001-01-01T00:00+09:00"])
def test_what_is_no_moment_is_said_in_words(value: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time as"):
        Moment(lambda: NOW).convert(value, None, None)


@pytest.mark.parametrize(
    ("text", "value"), [("1000", 1000), ("2K", 2048), ("2g", 2 * 1024**3), ("1TiB", 1024**4), ("1GB", 1024**3)]
)
def test_a_size_is_bytes_or_has_a_unit(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1P", "0"])
def test_what_is_no_size_is_said_in_words(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no size as"):
        Size().convert(text, None, None)


def test_the_options_of_a_process_take_them(master: ScriptedMaster, cli: Cli) -> None:
    master.on("POST /api/v1/jobs", answer({"id": "j1", "state": "QUEUED"}, 202))
    options = ["--max-time", "1m", "--grace", "2.5s", "--watchdog", "2h", "--recurring-period", "1d"]
    options += ["--max-memory", "2G", "--limit", "memory=512M", "--limit", "nofile=9"]
    done = cli("run", "-t", "1:1", *options, "--no-wait", "x")
    assert done.exit_code == 0, done.output
    sent: dict[str, Any] = master.asked[0].body["args"]
    del sent["cmd"], sent["args"]
    assert sent == {
        "max_time": 60,
        "grace": 2.5,
        "watchdog": 7200,
        "recurring_period": 86400,
        "max_memory": 2 * 1024**3,
        "limits": {"memory": 512 * 1024**2, "nofile": 9},
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--max-time", "1x"], "'1x' is no time as 30, 90s, 5m, 2h or 1d, nor -1"),
        (["--max-time", "1.5"], "'1.5' is not a whole number of seconds"),
        (["--watchdog", "0"], "'0' is less than 1 s"),
        (["--max-memory", "lots"], "'lots' is no size as 1000000, 512M or 2G"),
        (["--limit", "nofile=2G"], "memory=SIZE"),
        (["--not-after", "tomorrow"], "'tomorrow' is neither a time as 2027-01-01T00:00:00Z nor one from now on"),
    ],
)
def test_bad_ones_are_wrong_usage_in_words(master: ScriptedMaster, cli: Cli, options: list[str], why: str) -> None:
    done = cli("run", "-t", "1:1", *options, "x")
    assert done.exit_code == 2
    assert why in " ".join(done.stderr.split())
    assert master.asked == []


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("-5m", "2027-01-15T07:55:00Z"),
        ("1h", "2027-01-15T07:00:00Z"),
    ],
)
def test_a_time_in_the_past_is_a_time_or_before_now(value: str, utc: str) -> None:
    assert Past(lambda: NOW).convert(value, None, None) == utc


@pytest.mark.parametrize("value", ["14:30", "14:30:05", "2027-01-01", "today", "yesterday"])
def test_a_time_without_a_day_or_a_zone_is_ours(value: str) -> None:
    assert Past(lambda: NOW).convert(value, None, None).endswith("Z")


@pytest.mark.parametrize("value", ["", "soon", "25:00", "--5m", "2027-13-01", "99999999999999d"])
def test_what_is_no_time_in_the_past_is_said_in_words(value: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time as"):
        Past(lambda: NOW).convert(value, None, None)
