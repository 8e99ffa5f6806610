"""`deployer ps`, `top` and `hosts` against a scripted master."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.cli import Cli, program_environment
from support.scripted import ScriptedMaster, answer, nobody, refusal
from support.wait import until

PROGRAM = [sys.executable, "-c", "from deployer.cli.main import main; main(prog_name='deployer')"]
NOW_MS = 1_700_000_000_000
FULL = {
    "processes": 3,
    "cpu": 12.5,
    "rss": 1536,
    "vms": 9,
    "threads": 4,
    "fds": 5,
    "connections": 6,
    "read_bytes_per_s": 0.5,
    "write_bytes_per_s": 7,
    "net_sent_per_s": 8,
    "net_received_per_s": 2**31,
}
HOST: dict[str, Any] = {
    "cpu.total": 42.04,
    "load.1": 0.25,
    "memory.total": 4 * 2**30,
    "memory.used": 2**30,
    "disk.%2F.used": 5,
    "disk.%2F.total": 10,
    "disk.%2Fsrv.used": 9,
    "disk.%2Fsrv.total": 10,
    "net.lo.received_per_s": 10**9,
    "net.eth0.received_per_s": 1024,
    "net.eth1.received_per_s": 1024,
    "uptime": 7200,
    "processes": 99,
}


def process(name: str, nid: int = 1, values: Any = None) -> dict[str, Any]:
    agent = {"gid": 1, "nid": nid, "href": "x"}
    who = {"id": f"j@1:{nid}.1", "pid": "77", "user": {"id": "eve", "href": "x"}, "agent": agent}
    return {**who, "domain": "d", "name": name, "values": values, "epoch": NOW_MS, "step": 30}


def page(*items: object) -> Any:
    return answer({"items": items, "next": None})


def agent(nid: int, name: str, state: str = "online") -> dict[str, Any]:
    return {"gid": 1, "nid": nid, "state": state, "hostname": name}


def stats(host: Any, epoch: int | None = None) -> Any:
    return answer({"agent": {"gid": 1, "nid": 1}, "epoch": epoch, "step": 30, "host": host, "processes": []})


def fleet(master: ScriptedMaster) -> None:
    """Two hosts with three processes."""
    master.on("GET /api/v1/agents", page(agent(1, "web1"), agent(2, "evil\x1b[2J"), agent(3, "gone", "offline")))
    master.on("GET /api/v1/agents/1:1/stats", stats(HOST, int(time.time() * 1000) - 90_000))
    master.on("GET /api/v1/agents/1:2/stats", stats({}))
    few = {"cpu": 50, "rss": 10}
    master.on("GET /api/v1/processes", page(process("b", 1, FULL), process("a\x1b]0;x\x07", 2, few), process("c")))


def test_processes_are_listed_between_tabs_with_exact_numbers(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/processes", page(process("n", 1, FULL), process("bare\t", 2, {"cpu": None, "rss": "x"})))
    full, bare = cli("ps").stdout.splitlines()
    numbers = ["3", "12.50", "1536", "4", "5", "6", "0.50", "7", "8", "2147483648"]
    assert full.split("\t") == ["1:1", "77", "eve", "d", "n", *numbers]
    assert bare.split("\t") == ["1:2", "77", "eve", "d", "bare\\x09", *[""] * 10]
    assert cli("ps", "-q").stdout == "j@1:1.1\nj@1:2.1\n"
    assert json.loads(cli("ps", "--json").stdout)["items"][0] == process("n", 1, FULL)


def test_processes_are_asked_for_by_agent_domain_and_name(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/processes", page())
    assert cli("ps", "-t", "2:7", "--domain", "a b", "--name", "n").exit_code == 0
    assert master.methods() == ["GET /api/v1/processes?gid=2&nid=7&domain=a+b&name=n&limit=1000"]
    for wrong in ("2", "a:b", ":", "1:²", "1:99999999999"):
        assert cli("ps", "-t", wrong).exit_code == 2


def test_processes_that_have_ended_are_listed_with_how(master: ScriptedMaster, cli: Cli) -> None:
    at = {"started": "2026-11-23T01:02:03.456Z", "ended": "2026-11-23T01:02:04.456Z", "user": None}
    killed = {**process("n"), **at, "exit_status": None, "signal": "SIGKILL", "code": "KILLED"}
    fine = {**process("m"), **at, "exit_status": 0, "signal": None, "code": None}
    master.on("GET /api/v1/processes", page(killed, fine, *[fine] * 30))
    first, second, *others = cli("ps", "--ended", "--user", "eve", "--job", "j").stdout.splitlines()
    assert first.split("\t") == ["1:1", "77", "", "d", "n", "SIGKILL", "KILLED", at["started"], at["ended"]]
    assert second.split("\t") == ["1:1", "77", "", "d", "m", "0", "", at["started"], at["ended"]]
    assert len(others) == 18
    assert master.methods() == ["GET /api/v1/processes?state=ended&user=eve&job=j&limit=1000"]


def test_hosts_are_listed(master: ScriptedMaster, cli: Cli) -> None:
    known = {"id": "1:1", "name": "web1", "state": "online", "os": "linux", "cores": 4, "memory": 17.18, "cpu": "Fast"}
    told = {"last_seen": "2026-11-23T01:02:03.456Z"}
    unknown = {"id": "1:2", "name": "new", "state": "pending", "os": None, "cores": None, "memory": None, "cpu": None}
    master.on("GET /api/v1/hosts", page({**known, **told}, unknown))
    first, second = cli("hosts").stdout.splitlines()
    assert first.split("\t") == ["1:1", "web1", "online", "linux", "4", "17.18", "Fast", told["last_seen"]]
    assert second.split("\t") == ["1:2", "new", "pending", "", "", "", "", ""]
    assert cli("hosts", "-q", "--name", "web1").stdout == "1:1\n1:2\n"
    assert master.methods()[-1] == "GET /api/v1/hosts?name=web1&limit=1000"
    assert json.loads(cli("hosts", "--json").stdout)["items"][1] == unknown
    master.on("GET /api/v1/agents", page())
    for noun in ("hosts", "agents"):
        wanted = (
            "--state",
            "online",
            "--role",
            "web",
            "--labels",
            "owner=eve,stage",
            "--rack",
            "r1",
            "--sort",
            "-name",
        )
        assert cli(noun, *wanted).exit_code == 0
        query = "state=online&role=web&labels=owner%3Deve%2Cstage&rack=r1&sort=-name&limit=1000"
        assert master.methods()[-1] == f"GET /api/v1/{noun}?{query}"
        assert cli(noun, "--state", "dead").exit_code == 2


def test_top_prints_tables_where_there_is_no_terminal(master: ScriptedMaster, cli: Cli) -> None:
    fleet(master)
    result = cli("top", "-n", "2", "--interval", "0.1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    assert len([line for line in lines if line.endswith("3 hosts, 3 processes")]) == 2
    web, evil, gone = lines[3:6]
    assert " ".join(web.split()) == "1:1 web1 online 42.0 0.2 1.0 GiB/4.0 GiB /srv 90% 2.0 KiB 99 2h 1m"
    assert evil.split() == ["1:2", "evil\\x1b[2J", "online"]
    assert gone.split() == ["1:3", "gone", "offline"]
    assert [line.split()[4] for line in lines[8:11]] == ["a\\x1b]0;x\\x07", "b", "c"]
    assert " ".join(lines[9].split()[5:]) == "3 12.5 1.5 KiB 4 5 6 0 B 7 B 8 B 2.0 GiB"
    assert "GET /api/v1/agents/1:3/stats" not in master.methods()


def test_top_shows_how_busy_hosts_were(master: ScriptedMaster, cli: Cli) -> None:
    fleet(master)
    series = {"name": "agents.1.1.host.cpu.total", "values": [None, *(10.0 * step for step in range(10))]}
    master.on("GET /api/v1/metrics", answer({"items": [series]}))
    web, evil, _ = cli("top", "-n", "2", "--interval", "0.1").stdout.splitlines()[3:6]
    assert re.search(r"42\.0 +▁▁▂▃▄▅▅▆▇|42\.0 +▁▁▂▃▄▅▅▆", web)
    assert "▁" not in evil
    asked = [method for method in master.methods() if "metrics" in method]
    assert len(asked) == 1
    assert "target=agents.1.1.host.cpu.total&target=agents.1.2.host.cpu.total&from=-15min" in asked[0]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_top_does_without_trends_where_there_are_none(master: ScriptedMaster, cli: Cli, status: int) -> None:
    fleet(master)
    master.on("GET /api/v1/metrics", answer({}, status))
    assert cli("top", "-n", "1").exit_code == 0


@pytest.mark.parametrize(
    ("sort", "hosts", "names"),
    [("cpu", "123", ["a", "b", "c"]), ("memory", "123", ["b", "a", "c"]), ("name", "231", ["a", "b", "c"])],
)
def test_top_is_sorted(master: ScriptedMaster, cli: Cli, sort: str, hosts: str, names: list[str]) -> None:
    fleet(master)
    lines = cli("top", "-n", "1", "--sort", sort).stdout.splitlines()
    assert [line[2] for line in lines[3:6]] == list(hosts)
    assert [line.split()[4][0] for line in lines[8:11]] == names


def test_top_as_json_is_a_line_for_each_look(master: ScriptedMaster, cli: Cli) -> None:
    fleet(master)
    lines = cli("top", "-n", "2", "--interval", "0.1", "--json").stdout.splitlines()
    first, second = map(json.loads, lines)
    assert first == second
    assert first["hosts"][0]["stats"]["host"] == HOST
    assert first["hosts"][2] == {"agent": agent(3, "gone", "offline"), "stats": None}
    assert (len(first["processes"]), first["trouble"]) == (3, None)


def test_top_goes_on_when_the_master_is_away_and_says_so(master: ScriptedMaster, cli: Cli) -> None:
    fleet(master)
    there = page(agent(1, "web1"))
    master.on("GET /api/v1/agents", there, refusal(503, "unavailable", "Redis is away.\x1b"), there)
    result = cli("top", "-n", "3", "--interval", "0.1")
    heads = [line for line in result.stdout.splitlines() if "processes" in line or "away" in line]
    assert result.exit_code == 0
    assert "Redis is away.\\x1b; what was seen " in heads[1]
    assert "1 hosts, 3 processes" in heads[0]
    assert "1 hosts, 3 processes" in heads[2]
    assert result.stdout.count("web1") == 3


def test_top_that_ends_without_a_master_says_so_by_its_exit_code(cli: Cli) -> None:
    with nobody() as url:
        result = cli("top", "-n", "1", "--url", url)
    assert (result.exit_code, result.stdout.count("nothing was seen yet")) == (5, 1)


def test_top_ends_when_it_may_not_look(master: ScriptedMaster, cli: Cli) -> None:
    master.on("GET /api/v1/agents", refusal(401, "unauthorized", "The token is not known."))
    assert cli("top").exit_code == 3


def test_top_asks_each_host_of_a_large_fleet_in_its_turn(master: ScriptedMaster, cli: Cli) -> None:
    nids = range(1, 121)
    master.on("GET /api/v1/agents", page(*(agent(nid, f"h{nid}") for nid in nids)))
    master.on("GET /api/v1/processes", page())
    for nid in nids:
        master.on(f"GET /api/v1/agents/1:{nid}/stats", refusal(404, "not_found", "") if nid == 7 else stats({}))
    assert cli("top", "-n", "3", "--interval", "0.1").exit_code == 0
    asked = [one for one in master.methods() if one.endswith("/stats")]
    assert len(asked) == 150
    assert len(set(asked)) == 120


@pytest.mark.parametrize("args", [("--interval", "0"), ("-n", "0"), ("--sort", "colour")])
def test_wrong_usage_of_top_is_2(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("top", *args).exit_code == 2


class Terminal:
    """A terminal of 80 columns and 24 lines with a program on it."""

    def __init__(self, environment: dict[str, str | None], *args: str) -> None:
        self._ours, self._theirs = os.openpty()
        termios.tcsetwinsize(self._theirs, (24, 80))
        self.before = termios.tcgetattr(self._theirs)
        env = program_environment({**environment, "TERM": "xterm-256color", "NO_COLOR": "1"})
        self.seen = b""
        self.program = subprocess.Popen([*PROGRAM, *args], env=env, stdout=self._theirs, stdin=self._theirs)

    def shows(self, text: bytes) -> bool:
        """Whether the program has written this so far."""
        while select.select([self._ours], [], [], 0)[0]:
            self.seen += os.read(self._ours, 65536)
        return text in self.seen

    @property
    def after(self) -> Any:
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    def close(self) -> None:
        """End everything."""
        self.program.kill()
        self.program.wait()
        os.close(self._ours)
        os.close(self._theirs)


@contextlib.contextmanager
def terminal(environment: dict[str, str | None], *args: str) -> Iterator[Terminal]:
    made = Terminal(environment, *args)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_top_leaves_the_terminal_as_it_was(
    master: ScriptedMaster, environment: dict[str, str | None], number: signal.Signals, code: int
) -> None:
    fleet(master)
    with terminal(environment, "top", "--interval", "0.1") as made:
        until(lambda: made.shows(b"web1"), what="the first view")
        assert made.shows(b"\x1b[?1049h")
        made.program.send_signal(number)
        assert made.program.wait(20) == code
        made.shows(b"")
        assert made.seen.rstrip().endswith((b"\x1b[?1049l\x1b[?25h", b"\x1b[?25h\x1b[?1049l"))
        assert made.after == made.before
        assert b"Traceback" not in made.seen


def test_top_on_a_terminal_shows_control_characters_and_does_not_obey_them(
    master: ScriptedMaster, environment: dict[str, str | None]
) -> None:
    fleet(master)
    with terminal(environment, "top", "-n", "2", "--interval", "0.1") as made:
        assert made.program.wait(20) == 0
        assert made.shows(b"evil\\x1b[2J")
        assert b"evil\x1b" not in made.seen
        assert b"\x1b]0;x" not in made.seen
        assert b"3 hosts, 3 processes" in made.seen


def test_top_on_a_terminal_shows_that_the_connection_was_lost_and_goes_on(
    master: ScriptedMaster, environment: dict[str, str | None]
) -> None:
    fleet(master)
    there = page(agent(1, "web1"))
    master.on("GET /api/v1/agents", there, refusal(502, "", "gone"), page(agent(2, "back")))
    with terminal(environment, "top", "--interval", "0.1") as made:
        until(lambda: made.shows(b"gone; what was seen"), what="that it is away")
        until(lambda: made.shows(b"back"), what="the next view")
        made.program.send_signal(signal.SIGINT)
        assert made.program.wait(20) == 0


def test_ps_on_a_terminal_has_titles_and_units(master: ScriptedMaster, environment: dict[str, str | None]) -> None:
    fleet(master)
    env = {**environment, "COLUMNS": "150"}
    with terminal(env, "ps") as made:
        assert made.program.wait(20) == 0
        assert made.shows(b"WRITE/S")
        assert b"1.5 KiB" in made.seen
        assert b"2.0 GiB" in made.seen
        assert b"\x1b]0" not in made.seen
