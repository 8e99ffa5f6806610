"""`make demo`: a master and an agent on this host, one command through the command line, then yours until Ctrl-C.

Standard library only, since it makes the virtual environment in which everything else lives. All state is in `.demo/`.
Ctrl-C or SIGTERM ends the agent, then the master; whatever they left behind comes to this process, which ends it too.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
BIN = DEMO / "venv" / "bin"
PORT = 8966
MARK = "# Written by make demo, which also replaces it.\n"
SCRIPT = 'for n in 1 2 3; do echo "line $n of $(hostname)"; sleep 0.3; done; echo "3::a message of level 3"'
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_never = threading.Event()


class Failed(Exception):  # noqa: N818 (it says what it is)
    """The demonstration cannot go on, and why."""


class Child:
    """A program with its log in `.demo/`, in a session of its own so that Ctrl-C reaches only this process."""

    def __init__(self, name: str, argv: list[str], folder: Path = DEMO) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 (our own programs)
                argv,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (there is one thread)
            )

    def check(self) -> None:
        """Failed, with the end of its log, when it has ended."""
        status = self.process.poll()
        if status is not None:
            raise Failed(f"the {self.name} ended with status {status}; the end of {self.log}:\n{tail(self.log)}")

    def end(self, grace_s: float) -> None:
        """TERM, and after the grace KILL."""
        self.process.terminate()
        try:
            self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            say(f"the {self.name} did not end within {grace_s:.0f} s and was killed")
            self.process.kill()
            self.process.wait()


def say(text: str) -> None:
    """A line for the person."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tail(path: Path, lines: int = 15) -> str:
    """The end of a log."""
    return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:])


def environment() -> dict[str, str]:
    """Ours, without what would lead a program to the checkout instead of the installed wheel, or to another master."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DEPLOYER_"))}
    return kept | {"PYTHONUNBUFFERED": "1"}


def free_port(wanted: int) -> int:
    """The wanted port of the loopback interface, or another when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise Failed("no port is free on 127.0.0.1")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def context(url: str, token_file: Path) -> str:
    """A context file of the command line; JSON strings are TOML strings."""
    quoted = json.dumps(str(token_file), ensure_ascii=False)
    return f'{MARK}current = "demo"\n\n[contexts.demo]\nurl = {json.dumps(url)}\ntoken_file = {quoted}\n'


def write_contexts(url: str, folder: Path, environ: dict[str, str]) -> Path:
    """Write the demonstration's context, also as the user's own where there is none but ours; the first one's path."""
    text = context(url, folder / "master" / "admin-token")
    write_private(folder / "config.toml", text)
    own = own_contexts(environ)
    if own is not None:
        with contextlib.suppress(OSError):  # a home that cannot be written to is no reason to fail
            write_private(own, text)
            say(f"{own} names this demonstration while it runs.")
    return folder / "config.toml"


def own_contexts(environ: dict[str, str]) -> Path | None:
    """The user's context file where there is none, or one of ours."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", ""), ".config")  # noqa: PTH118 (no HOME)
    own = Path(base) / "deployer" / "config.toml"
    is_ours = own.is_absolute() and (not own.exists() or own.read_text("utf-8", "replace").startswith(MARK))
    return own if is_ours else None


def forget_contexts(environ: dict[str, str]) -> None:
    """Leave no context behind that names a master which has ended."""
    own = own_contexts(environ)
    if own is not None:
        with contextlib.suppress(OSError):
            own.unlink(missing_ok=True)


def run(*argv: str) -> str:
    """Run a step to its end; its output, or Failed."""
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    if done.returncode:
        raise Failed(f"{' '.join(argv)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout.strip()


def check_redis() -> None:
    """Failed in words where neither a Redis nor a wheel of one can be had."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if not found and sys.version_info >= (3, 13):
        raise Failed("no redis-server on PATH, and its wheel is for Python 3.11 and 3.12: install redis-server")


def install() -> None:
    """Make the virtual environment and install the wheel of this checkout into it."""
    pip = (str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    stamp = DEMO / "venv" / "wants"
    wants = hashlib.sha256((ROOT / "setup.cfg").read_bytes() + sys.version.encode()).hexdigest()
    fresh = not stamp.exists() or stamp.read_text("ascii") != wants
    if fresh:
        shutil.rmtree(DEMO / "venv", ignore_errors=True)
        say("making .demo/venv and fetching what the product stands on (a minute or two, once)")
        run(sys.executable, "-m", "venv", str(DEMO / "venv"))
    wheel = run(str(BIN / "python"), str(ROOT / "tools" / "wheel.py"), str(DEMO / "dist"))
    if fresh:
        run(*pip, f"{wheel}[embedded]")
    run(*pip, "--force-reinstall", "--no-deps", wheel)
    stamp.write_text(wants, "ascii")


def wait_for(what: str, ready: Callable[[], bool], children: list[Child], deadline_s: float = 60.0) -> None:
    """Poll until it is so; Failed when a child ends or the time is over."""
    end = time.monotonic() + deadline_s
    while not ready():
        for child in children:
            child.check()
        if time.monotonic() > end:
            logs = "\n".join(f"the end of {child.log}:\n{tail(child.log)}" for child in children)
            raise Failed(f"waited {deadline_s:.0f} s in vain for {what}\n{logs}")
        _never.wait(0.1)


def get(url: str, token: str | None = None) -> Any:
    """The JSON (or text) at an address of the master; None while it is not there."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310 (http to loopback)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            text = answer.read()
    except (OSError, urllib.error.URLError):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def agent_is_online(url: str, token: str) -> bool:
    """Tell whether any agent is online."""
    page = get(f"{url}/api/v1/agents", token) or {}
    return any(agent.get("state") == "online" for agent in page.get("items", []))


def start_master(port: int) -> Child:
    """Start the master on loopback."""
    twistd = [str(BIN / "twistd"), "-n", "--pidfile=", "deployer-master"]
    return Child("master", [*twistd, "--data-dir", str(DEMO / "master"), "--http", f"tcp:{port}:interface=127.0.0.1"])


def start_agent(url: str) -> Child:
    """Start the agent, which joins with the master's first join token."""
    twistd = [str(BIN / "twistd"), "-n", "--pidfile=", "deployer-agent"]
    token = ["--join-token-file", str(DEMO / "master" / "join-token")]
    root = ["--allow-root"] if os.geteuid() == 0 else []
    numbers = ["--gid", "1", "--nid", "1"]
    return Child("agent", [*twistd, "--data-dir", str(DEMO / "agent"), "--url", url, *numbers, *token, *root])


@contextlib.contextmanager
def running(children: list[Child]) -> Iterator[None]:
    """End all children, the youngest first, and then what they left behind."""
    try:
        yield
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
        for child in reversed(children):
            child.end(15.0)
        end_orphans()


def end_orphans() -> None:
    """End what has become ours: children of children that ended without them."""
    for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for pid in offspring():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience_s
        while offspring() and time.monotonic() < end:
            _never.wait(0.05)


def offspring() -> list[int]:
    """Our living children, after taking leave of the dead ones."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()]
    except OSError:  # no /proc: nothing was handed to us either
        return []


def demonstrate(url: str, config: Path) -> None:
    """Run one command through the command line, its output as it comes."""
    argv = [str(BIN / "deployer"), "run", "-t", "1:1", "--name", "demo", "--", "/bin/sh", "-c", SCRIPT]
    say(f"$ deployer run -t 1:1 -- /bin/sh -c '{SCRIPT}'")
    done = subprocess.run(argv, env=environment() | {"DEPLOYER_CONFIG": str(config)}, check=False)  # noqa: S603 (ours)
    if done.returncode:
        raise Failed(f"deployer run exited with {done.returncode} at {url}")


def explain(url: str, config: Path) -> None:
    """What can be done with it."""
    token = DEMO / "master" / "admin-token"
    say(f"\nThe API is at  {url}/api/v1\nits token in   {token}")
    say(f"by hand        curl -H \"Authorization: Bearer $(cat '{token}')\" {url}/api/v1/agents")
    say(f"or             DEPLOYER_CONFIG='{config}' '{BIN / 'deployer'}' run -t 1:1 -- uptime")


def serve(*, once: bool) -> None:
    """Everything after the installation."""
    port = free_port(PORT)
    url = f"http://127.0.0.1:{port}"
    children: list[Child] = []
    with running(children):
        children.append(start_master(port))
        wait_for("the master to be ready", lambda: get(f"{url}/readyz") is not None, children)
        token = (DEMO / "master" / "admin-token").read_text("ascii").strip()
        children.append(start_agent(url))
        wait_for("the agent to be online", lambda: agent_is_online(url, token), children)
        config = write_contexts(url, DEMO, dict(os.environ))
        try:
            demonstrate(url, config)
            explain(url, config)
            if not once:
                say("\nCtrl-C ends it.")
                watch(children)
        finally:
            forget_contexts(dict(os.environ))


def watch(children: list[Child]) -> None:
    """Stay until a signal comes or a child ends."""
    while not _never.wait(0.5):
        for child in children:
            child.check()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=", description="A master and an agent on this host.")
    parser.add_argument("--once", action="store_true", help="run the command and end")
    once = parser.parse_args().once
    for number in STOPS:
        signal.signal(number, _stop)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    DEMO.mkdir(mode=0o700, exist_ok=True)
    try:
        with (DEMO / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            check_redis()
            install()
            serve(once=once)
    except BlockingIOError:
        say("make demo: another one is running in this checkout")
        return 1
    except Failed as error:
        say(f"make demo: {error}")
        return 1
    except KeyboardInterrupt:
        say("ended" if not once else "make demo: interrupted")
        return 130 if once else 0
    return 0


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 (a signal handler's signature)
    raise KeyboardInterrupt


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
