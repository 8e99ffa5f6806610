"""Places at which tests end or hold a program: armed by the environment, in a checkout only, where they are said."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.kit.failpoints import CRASHED, FailpointError, WrongFailpointsError, arm, reach
from deployer.protocol.failpoints import AGENT, MASTER

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"here", "there"}


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm({}, ())


def test_nothing_happens_unless_it_is_armed() -> None:
    arm({}, KNOWN)
    reach("here")
    arm({"DEPLOYER_FAILPOINTS": "there=raise"}, KNOWN)
    reach("here")


def test_the_nth_time_only_or_each_time() -> None:
    arm({"DEPLOYER_FAILPOINTS": "here=raise@3;there=raise"}, KNOWN)
    reach("here")
    reach("here")
    for name in ("here", "there", "there"):
        with pytest.raises(FailpointError, match=name):
            reach(name)
    reach("here")


def test_a_pause_takes_its_time() -> None:
    slept: list[float] = []
    arm({"DEPLOYER_FAILPOINTS": "here=pause:1.5"}, KNOWN, sleep=slept.append)
    reach("here")
    assert slept == [1.5]


def test_a_crash_leaves_nothing_undone_and_a_note(tmp_path: Path) -> None:
    code = (
        "import os\nfrom deployer.kit.failpoints import arm, reach\narm(os.environ, {'here'})\n"
        "try:\n    reach('here')\nfinally:\n    print('still there', flush=True)\n"
    )
    note = tmp_path / "note"
    env = {"PYTHONPATH": str(ROOT / "src"), "DEPLOYER_FAILPOINTS": "here=crash", "DEPLOYER_FAILPOINTS_LOG": str(note)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, note.read_text()) == (CRASHED, "", "here\n")


@pytest.mark.parametrize(
    "text", ["here", "here=", "here=explode", "elsewhere=crash", "here=crash@0", "here=pause", "here=pause:x", ";"]
)
def test_what_is_no_failpoint_is_refused(text: str) -> None:
    with pytest.raises(WrongFailpointsError, match="is no failpoint of this program"):
        arm({"DEPLOYER_FAILPOINTS": text}, KNOWN)


def test_an_installed_program_refuses_them(tmp_path: Path) -> None:
    with pytest.raises(WrongFailpointsError, match="source checkout only"):
        arm({"DEPLOYER_FAILPOINTS": "here=crash"}, KNOWN, tmp_path / "setup.cfg")
    arm({}, KNOWN, tmp_path / "setup.cfg")


@pytest.mark.parametrize(("folder", "names"), [("deployer", MASTER), ("deployer_agent", AGENT)])
def test_each_is_at_one_place_and_none_is_unheard_of(folder: str, names: dict[str, str]) -> None:
    texts = [path.read_text() for path in (ROOT / "src" / folder).rglob("*.py")]
    found = sorted(name for text in texts for name in re.findall(r"^ +reach\(\"(\w+)\"\)$", text, re.MULTILINE))
    assert found == sorted(names)


def test_there_are_enough() -> None:
    assert len(MASTER) + len(AGENT) >= 25
