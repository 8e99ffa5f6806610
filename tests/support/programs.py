"""The real programs, as a user starts them: a master and agents in processes of their own, asked over HTTP."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from support.canaries import require_silence
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
TWISTD = str(Path(sys.executable).with_name("twistd"))


def environment() -> dict[str, str]:
    """What the programs need: the checkout's packages and plugins."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYER_")}
    return {**kept, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}


def run_to_its_end(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """A twistd in the foreground that ends by itself."""
    command = [TWISTD, "-n", "--pidfile=", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=120, check=False
    )


class Program:
    """One twistd with its log."""

    def __init__(self, name: str, log: Path, *arguments: str) -> None:
        self.log = log
        self.arguments = [sys.executable, "-m", "twisted", name]
        twistd = Path(sys.executable).with_name("twistd")
        self.arguments = [str(twistd), "-n", "--pidfile=", name, *arguments]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **more: str) -> None:
        """Start it in a process group of its own; `more` is put into its environment."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log, env=environment() | more, cwd=ROOT, process_group=0
            )

    @property
    def pid(self) -> int:
        """The running process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """End it with kill -9, and nothing else of it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_group(self) -> None:
        """End it and its direct children with kill -9."""
        os.killpg(self.pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self, deadline_s: float = 60.0) -> int:
        """End it in order; its exit status."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.arguments[3]} did not end; its log: {self.text()[-3000:]}") from None

    def text(self) -> str:
        """Its log."""
        return self.log.read_text("utf-8", "replace")


class Fleet:
    """A master, its agents, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "master"
        self.master = Program("deployer-master", folder / "master.log")
        self.agents: dict[int, Program] = {}
        self.url = ""
        self._token = ""

    def start_master(self, *more: str) -> None:
        """Start the master (the first time on any free port, then on the same) and wait until it is ready."""
        port = self.url.rpartition(":")[2] or "0"
        self.master = Program(
            "deployer-master",
            self.folder / "master.log",
            f"--data-dir={self.data}",
            f"--http=tcp:{port}:interface=127.0.0.1",
            *more,
        )
        self.master.start()
        if not self.url:
            self.url = f"http://127.0.0.1:{until(self._find_port, what='the master to say where it listens')}"
            port = self.url.rpartition(":")[2]
            self.master.arguments = [one.replace("=tcp:0:", f"=tcp:{port}:") for one in self.master.arguments]
        until(self.is_ready, what="the master to be ready")
        self._token = (self.data / "admin-token").read_text().strip()

    def start_agent(self, nid: int = 1, *more: str) -> Program:
        """Start an agent and wait until the master knows it as online."""
        agent = Program(
            "deployer-agent",
            self.folder / f"agent{nid}.log",
            f"--data-dir={self.agent_data(nid)}",
            f"--url={self.url}",
            "--gid=1",
            f"--nid={nid}",
            f"--join-token-file={self.data / 'join-token'}",
            "--allow-root",
            *more,
        )
        agent.start()
        self.agents[nid] = agent
        until(lambda: self._is_online(nid), what=f"agent {nid} to be online")
        return agent

    def agent_data(self, nid: int) -> Path:
        """An agent's data directory."""
        return self.folder / f"agent{nid}"

    def stop(self) -> None:
        """End everything that still runs."""
        for program in (*self.agents.values(), self.master):
            if program.process is not None and program.process.poll() is None:
                program.stop()
        for process in self.redis_servers():
            process.kill()

    def redis_servers(self) -> list[psutil.Process]:
        """The servers that run in this master's data directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd() == str(self.data / "redis") and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def ask(self, method: str, path: str, body: object = None, deadline_s: float = 90.0) -> tuple[int, Any]:
        """One request as the admin; status and JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 (our own master)
        try:
            with urllib.request.urlopen(request, timeout=deadline_s) as answer:  # noqa: S310 (our own master)
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def submit(self, job: str, *command: str, nid: int = 1, wait_s: float = 0, **args: Any) -> Any:
        """Run a command on an agent; the job."""
        body = {
            "cmd": "execute",
            "args": {"cmd": command[0], "args": list(command[1:]), **args},
            "target": f"1:{nid}",
            "id": job,
        }
        status, answer = self.ask("POST", f"/api/v1/jobs?wait={wait_s:g}", body)
        assert status in {200, 202}, answer
        return answer

    def job(self, job: str, wait_s: float = 0) -> Any:
        """A job, after waiting for its end; asks again when the master says so."""

        def look() -> Any:
            status, answer = self.ask("GET", f"/api/v1/jobs/{job}?wait={wait_s:g}")
            assert status in {200, 503}, answer
            return answer if status == 200 else None

        return until(look, what=f"an answer about job {job}")

    def task(self, job: str) -> Any:
        """A job's first task."""
        return self.ask("GET", f"/api/v1/jobs/{job}/tasks")[1]["items"][0]

    def lines(self, job: str) -> list[str]:
        """A job's log, as far as there is one."""
        texts: list[str] = []
        cursor = ""
        while True:
            page = self.ask("GET", f"/api/v1/jobs/{job}/log?limit=1000{cursor}")[1]
            texts += [item["data"] for item in page["items"]]
            if page["next"] is None:
                return texts
            cursor = f"&cursor={page['next']}"

    def is_ready(self) -> bool:
        """Whether the master answers that it is ready."""
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            assert self.master.process is not None
            assert self.master.process.poll() is None, self.master.text()[-3000:]
            return False

    def _is_online(self, nid: int) -> bool:
        process = self.agents[nid].process
        assert process is not None
        assert process.poll() is None, self.agents[nid].text()[-3000:]
        status, agent = self.ask("GET", f"/api/v1/agents/1:{nid}")
        return status == 200 and agent["state"] == "online"

    def _find_port(self) -> str | None:
        assert self.master.process is not None
        assert self.master.process.poll() is None, self.master.text()[-3000:]
        for line in self.master.text().splitlines():
            if "the API listens at" in line:
                return line.partition("port=")[2].rstrip(")")
        return None


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped by whoever adopted it does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Programs and tests may open so many files and sockets, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """A fleet without anything running yet; all of it is ended afterwards."""
    made = Fleet(folder)
    try:
        yield made
    finally:
        made.stop()
    require_silence(folder.glob("*.log"))
