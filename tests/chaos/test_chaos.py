"""Nothing is lost and nothing runs twice under faults; and the runner finds it where it is."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.programs import ROOT

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are root's"),
]

MUTANTS = {
    "M1": ("--points=polled,claim_done", "--others=0", "open"),
    "M2": ("--points=polled", "--others=1", "doubled|open"),  # an id that is forgotten while it runs may never end
    "M3": ("--points=started,spawned,ran", "--others=0", "doubled"),
    "M4": ("--points=result_posting", "--others=0", "open"),
}
UNKNOWN_A_DEATH = 6.0
"""Of the jobs of an agent that dies. Their share of all jobs depends on how many a loaded machine starts meanwhile; how
many an agent has noted and not finished does so far less: fewer than four on a busy machine, ten when it notes all that
a poll brings (docs/delivery.md)."""
FILES = Path(__file__).with_name("mutants")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="dpl") as folder:
        yield Path(folder)


def chaos(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """One run of the runner."""
    command = [sys.executable, "-m", "chaos", f"--folder={folder}", *options]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}:{ROOT / 'tests'}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500, check=False)


def test_a_hundred_kills_and_every_failpoint_lose_and_double_nothing(short_path: Path) -> None:
    done = chaos(short_path, "--minutes=5", "--kills=100", "--rounds=1", "--others=3")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = re.search(
        r"kill (\d+).*lost 0, doubled 0, open 0, unknown \d+ \(.+ %, (.+) for each .+\), unexplained 0", done.stdout
    )
    assert figures, done.stdout
    assert int(figures[1]) >= 100
    assert float(figures[2]) <= UNKNOWN_A_DEATH


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_a_program_that_breaks_its_promise_is_found(short_path: Path, mutant: str) -> None:
    source = short_path / "mutant"
    for name in ("src", "twisted"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", source)
    subprocess.run(["git", "apply", FILES / f"{mutant}.patch"], cwd=source, check=True)
    *faults, word = MUTANTS[mutant]
    done = chaos(short_path, "--minutes=0.2", *faults, "--rounds=3", "--kills=0", f"--source={source}", "--quiet=45")
    assert done.returncode == 1, done.stdout + done.stderr[-3000:]
    assert re.search(f"  ({word}): ", done.stdout), done.stdout
    assert "lost 0, doubled 0, open 0" not in done.stdout
