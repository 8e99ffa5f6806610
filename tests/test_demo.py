"""The parts of `make demo` that need no installation."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deployer.cli.contexts import find
from support.wait import until
from tools import demo


def child(tmp_path: Path, code: str) -> demo.Child:
    return demo.Child("agent", [sys.executable, "-c", code], tmp_path)


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        assert demo.free_port(wanted) != wanted
    assert demo.free_port(wanted) == wanted


def test_a_child_that_ends_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    one = child(tmp_path, "import sys; print('no such option'); sys.exit(3)")
    one.process.wait(20)
    with pytest.raises(demo.Failed, match=r"the agent ended with status 3(.|\n)*no such option"):
        demo.wait_for("it", lambda: False, [one])


def test_waiting_in_vain_shows_the_logs(tmp_path: Path) -> None:
    one = child(tmp_path, "import signal; print('busy', flush=True); signal.pause()")
    until(one.log.read_text, what="the log")
    with pytest.raises(demo.Failed, match=r"in vain for it(.|\n)*busy"):
        demo.wait_for("it", lambda: False, [one], deadline_s=0)
    one.end(10)


def test_a_child_that_ignores_term_is_killed(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); signal.pause()"
    one = child(tmp_path, code)
    until(one.log.read_text, what="the log")
    one.end(0.1)
    assert one.process.returncode == -signal.SIGKILL


def test_contexts_are_private_and_the_command_line_reads_them(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / 'with "quotes"'
    demo.write_private(folder / "master" / "admin-token", "dpl_1_x\n")
    path = demo.write_contexts("http://127.0.0.1:1", folder, {"HOME": str(home)})
    own = home / ".config" / "deployer" / "config.toml"
    for one in (path, own):
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
        assert find(None, None, None, {"DEPLOYER_CONFIG": str(one)}).token == "dpl_1_x"


def test_a_users_own_context_file_stays_and_ours_is_replaced(tmp_path: Path) -> None:
    own = tmp_path / "deployer" / "config.toml"
    own.parent.mkdir()
    own.write_text("current = 'mine'\n")
    demo.write_contexts("http://127.0.0.1:1", tmp_path / "demo", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert own.read_text() == "current = 'mine'\n"
    own.unlink()
    for port in (1, 2):
        demo.write_contexts(f"http://127.0.0.1:{port}", tmp_path / "demo", {"XDG_CONFIG_HOME": str(tmp_path)})
    assert "127.0.0.1:2" in own.read_text()
    demo.forget_contexts({"XDG_CONFIG_HOME": str(tmp_path)})
    assert not own.exists()
    own.write_text("current = 'mine'\n")
    demo.forget_contexts({"XDG_CONFIG_HOME": str(tmp_path)})
    assert own.exists()


def test_programs_get_nothing_that_leads_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "DEPLOYER_URL"):
        monkeypatch.setenv(name, "x")
    assert not {"PYTHONPATH", "PYTHONHOME", "DEPLOYER_URL"} & demo.environment().keys()


ORPHANS = """
import ctypes, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tools import demo
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
children = [demo.Child(name, ["/bin/sh", "-c", "sleep 600 & echo $!; exec sleep 600"], Path(sys.argv[2]))
            for name in ("master", "agent")]
with demo.running(children):
    demo.wait_for("the logs", lambda: all(child.log.read_text() for child in children), children)
print(*(child.process.pid for child in children), *(child.log.read_text().strip() for child in children))
"""


def test_what_the_children_leave_behind_is_ended_too(tmp_path: Path) -> None:
    root = str(Path(demo.__file__).parent.parent)
    argv = [sys.executable, "-c", ORPHANS, root, str(tmp_path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 4
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
