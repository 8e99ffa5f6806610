"""What a newcomer does: `make demo` in a fresh clone, with nothing in the environment and nothing at home."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.wait import until

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, as they are now."""
    place = tmp_path_factory.mktemp("clone")
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, known.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    return place


def demo(clone: Path, home: Path, *arguments: str) -> subprocess.Popen[str]:
    bare = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        ["/usr/bin/make", "demo", *arguments],
        cwd=clone,
        env=bare,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def living(clone: Path) -> list[str]:
    """Command lines that name a file of this clone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        found += [line] if str(clone) in line else []
    return found


def test_once_shows_a_commands_output_and_leaves_no_process(clone: Path, tmp_path: Path) -> None:
    output, _ = demo(clone, tmp_path, "ARGS=--once").communicate(timeout=300)
    assert "line 3 of" in output, output
    assert "public: a message of level 3" in output
    assert "curl -H" in output
    own = tmp_path / ".config" / "deployer" / "config.toml"
    assert f"{own} names this demonstration while it runs." in output
    assert not own.exists()
    assert living(clone) == []


def test_it_stays_until_interrupted_and_then_leaves_no_process(clone: Path, tmp_path: Path) -> None:
    running = demo(clone, tmp_path)
    assert running.stdout is not None
    output = iter(running.stdout.readline, "")
    assert any(line.startswith("Ctrl-C") for line in output)
    assert any("deployer-agent" in line for line in living(clone))
    own = tmp_path / ".config" / "deployer" / "config.toml"
    assert own.stat().st_mode & 0o777 == 0o600
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    until(lambda: not living(clone), what="the end of all processes", deadline_s=60)
    assert not own.exists()
