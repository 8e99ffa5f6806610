"""What we stand on is new enough to be safe (RELIABILITY D12, D13)."""

import ast
import configparser
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {
    "twisted": (26, 4),
    "autobahn": (26, 10, 1),
    "pyopenssl": (26,),
    "cryptography": (46,),
    "service-identity": (26,),
    "msgspec": (0, 20),
    "klein": (24, 8),
}
"""With the fixes of CVE-2022-21712, CVE-2023-46137, CVE-2024-41671 and -41810 (Twisted) and later ones."""

PATCHED = "5:7.0.15-1~deb12u6"
"""Debian 12's redis-server with CVE-2025-49844; newer Debians have newer versions."""

DANGEROUS = {"pickle", "marshal", "shelve", "dill", "xmlrpc", "telnetlib"}
SECRET = re.compile(r"secret|password|signature|\bmac\b|csrf", re.IGNORECASE)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


@pytest.mark.parametrize("name", FLOORS)
def test_a_library_is_not_older_than_its_floor_and_setup_asks_for_that(name: str) -> None:
    assert numbers(version(name)) >= FLOORS[name]
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = dict(
        re.findall(r"^([a-z-]+)(?:\[[a-z]+\])?>=([0-9.]+)", setup["options"]["install_requires"], re.MULTILINE)
    )
    assert numbers(wanted[name]) >= FLOORS[name][:1]


def test_the_redis_server_of_this_host_is_patched() -> None:
    assert shutil.which("redis-server"), "apt install redis-server"
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "redis-server"], capture_output=True, check=False)
    if asked.returncode == 0:
        subprocess.run(["dpkg", "--compare-versions", asked.stdout.decode(), "ge", PATCHED], check=True)
    else:
        told = subprocess.run(["redis-server", "--version"], capture_output=True, check=True).stdout.decode()
        assert numbers(told.partition("v=")[2]) >= (6, 2, 20)


def sources() -> list[Path]:
    found = [path for room in ("deployer", "deployer_agent") for path in (ROOT / "src" / room).rglob("*.py")]
    assert len(found) > 150
    return found


def test_nothing_is_unpickled_and_no_text_becomes_code() -> None:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & DANGEROUS, (path, names)
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            assert called not in {"eval", "exec"}, (path, called)


def test_no_check_of_security_is_an_assert_that_python_may_leave_out() -> None:
    """`python -O` takes asserts out: ours only tell the type checker what it cannot know."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assert):
                line = ast.get_source_segment(path.read_text(), node) or ""
                assert not SECRET.search(line), (path, line)


def test_secrets_are_compared_in_a_time_that_tells_nothing() -> None:
    """R8: all go through `hmac.compare_digest`, or are looked up by their hash."""
    for path in sources():
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Compare) and any(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops):
                line = ast.get_source_segment(text, node) or ""
                assert not SECRET.search(line), (path, line)
