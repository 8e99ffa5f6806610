"""Moments and intervals as Graphite writes them."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.graphite.times import moment, seconds

NOW = int(datetime(2026, 11, 28, 18, 30, 5, tzinfo=UTC).timestamp())  # a Saturday


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("now", "2026-11-28T18:30:05"),
        ("", None),
        ("1700000000", "2023-11-14T22:13:20"),
        ("1700000000.7", "2023-11-14T22:13:20"),
        ("0", "1970-01-01T00:00:00"),
        ("-6h", "2026-11-28T12:30:05"),
        ("-30min", "2026-11-28T18:00:05"),
        ("-30m", "2026-11-28T18:00:05"),
        ("-30minutes", "2026-11-28T18:00:05"),
        ("-1mon", "2026-10-29T18:30:05"),
        ("-1w", "2026-11-21T18:30:05"),
        ("-1y", "2025-11-28T18:30:05"),
        ("-1d2h", "2026-11-27T16:30:05"),
        ("now-1d", "2026-11-27T18:30:05"),
        ("now+1min", "2026-11-28T18:31:05"),
        ("now-1d+1h", "2026-11-27T19:30:05"),
        ("midnight", "2026-11-28T00:00:00"),
        ("midnight-1d", "2026-11-27T00:00:00"),
        ("noon", "2026-11-28T12:00:00"),
        ("noon yesterday", "2026-11-27T12:00:00"),
        ("midnight+1h", "2026-11-28T01:00:00"),
        ("today", "2026-11-28T18:30:05"),
        ("yesterday", "2026-11-27T18:30:05"),
        ("20261101", "2026-11-01T00:00:00"),
        ("11/01/26", "2026-11-01T00:00:00"),
        ("11/01/2026", "2026-11-01T00:00:00"),
        ("04:00_20261101", "2026-11-01T04:00:00"),
        ("6pm_today", "2026-11-28T18:00:00"),
        ("12am_today", "2026-11-28T00:00:00"),
        ("16:15", "2026-11-28T16:15:00"),
        ("00:00_monday", "2026-11-23T00:00:00"),
        ("20269999", None),
        ("25:00_20261101", None),
        ("-6", None),
        ("-6x", None),
        ("-99999999y", None),
        ("-100y", None),
        ("9" * 13, None),
        ("999999999999", None),
        ("NaN", None),
        ("1e9", None),
        ("now-", None),
        ("now--1h", None),
        ("٣", None),
        ("x" * 1000, None),
    ],
)
def test_a_moment_is_what_graphite_takes_it_for(text: str, iso: str | None) -> None:
    if iso is None:
        with pytest.raises(ValueError, match=r"no time|no unit"):
            moment(text, NOW)
    else:
        assert datetime.fromtimestamp(moment(text, NOW), UTC).isoformat() == iso + "+00:00"


@pytest.mark.parametrize(
    ("text", "its"), [("1h", 3600), ("5min", 300), ("30s", 30), ("-1d", -86400), ("1h30min", 5400), ("+1w", 604800)]
)
def test_an_interval_has_its_seconds(text: str, its: int) -> None:
    assert seconds(text) == its


@pytest.mark.parametrize("text", ["", "5", "h", "1 h 2", "5parsecs", "1h;", "9" * 70 + "s"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no interval|no unit"):
        seconds(text)


@given(st.text(alphabet="0123456789-+:_/ midnighowapy", max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= moment(text, NOW) < 2**38
