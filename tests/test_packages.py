"""Which Debian packages `make test` installs, and what it says when it may not."""

from pathlib import Path

import pytest

from tools import packages

DPKG = """#!/bin/sh
echo "redis-server install ok installed"
echo "procps deinstall ok config-files"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_what_is_not_fully_installed_is_missing(path: Path) -> None:
    program(path / "dpkg-query", DPKG)
    assert packages.missing(["redis-server", "procps", "haproxy"]) == ["procps", "haproxy"]


def test_where_there_is_no_dpkg_nothing_is_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(path))
    assert packages.missing(["redis-server"]) == []


@pytest.mark.parametrize(("status", "before"), [(0, ["-n"]), (1, None)])
def test_without_root_sudo_is_used_when_it_asks_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, status: int, before: list[str] | None
) -> None:
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    program(path / "sudo", f"#!/bin/sh\nexit {status}\n")
    assert packages.rights() == (None if before is None else [str(path / "sudo"), *before])
