"""The whole agent against a small master on a real socket: what holds when answers are lost, forged or wrong."""

import shutil
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor  # noqa: TID251 (real sockets and processes)
from twisted.logger import Logger
from twisted.web.http import Request

from deployer.protocol.signing import seal
from deployer_agent.assembly.agent import Agent
from deployer_agent.config import AgentSettings
from support.failures import LoggedFailures
from support.small_master import SmallMaster, answer, lose, problem


class House:
    """A master, and an agent that can be stopped, killed and started again on the same directory."""

    def __init__(self, path: Path) -> None:
        self.master = SmallMaster(reactor)
        self.path = path
        self.failures: list[str] = []
        self.agent: Agent | None = None
        (path / "token").write_text("token")
        (path / "token").chmod(0o600)

    def start(self, **settings: Any) -> Agent:
        known = {"data_dir": str(self.path / "a"), "url": self.master.url, "join_token_file": str(self.path / "token")}
        chosen = AgentSettings(**{**known, "allow_root": True, "stop_s": 0.5, **settings})
        self.agent = Agent(chosen, reactor, time.time, self.failures.append)
        self.agent.startService()
        return self.agent

    async def stop(self) -> None:
        agent, self.agent = self.agent, None
        if agent is not None and agent.running:
            await agent.stopService()

    def copy_journal_as_a_crash_leaves_it(self, name: str) -> None:
        shutil.copytree(self.path / "a", self.path / name)


@pytest_twisted.async_yield_fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.stop()
    await made.master.stop()


def sh(text: str, **more: Any) -> dict[str, Any]:
    return {"cmd": "/bin/sh", "args": ["-c", text], **more}


async def test_a_ping_is_answered(house: House) -> None:
    house.start()
    house.master.send(house.master.command("ping", {}, id="p"))
    await house.master.until(lambda: house.master.has("p"), "the pong")
    assert house.master.result("p").data == '"pong"'
    assert house.master.result("p").level == 20


async def test_output_comes_with_levels_and_before_the_result(house: House) -> None:
    house.start()
    house.master.send(
        house.master.command("execute", sh("cat; echo; echo 20::[1]; echo e >&2; exit 4"), id="x", data="in")
    )
    await house.master.until(lambda: house.master.has("x"), "the result")
    result = house.master.result("x")
    assert (result.state, result.code, result.exit_status, result.data, result.level) == (
        "ERROR",
        "EXIT_STATUS",
        4,
        "[1]",
        20,
    )
    assert sorted(house.master.texts("x")) == ["[1]", "e", "in"]


@pytest.mark.parametrize("route", ["join", "challenge", "session", "cmd", "accept", "log", "result"])
@pytest.mark.parametrize("trouble", ["lost", "503", "html", "redirect"])
async def test_a_request_that_fails_is_made_again(house: House, route: str, trouble: str) -> None:
    def page(request: Request) -> None:
        answer(request, {"commands": [house.master.command("ping", {}, id="evil")]}, "text/html")

    def redirect(request: Request) -> None:
        request.setHeader("location", house.master.url + "/elsewhere")
        problem(302, "moved")(request)

    how = {"lost": lose, "503": problem(503, "unavailable"), "html": page, "redirect": redirect}[trouble]
    house.master.trouble[route] = [how]
    house.start()
    house.master.send(
        house.master.command("execute", sh("echo once >> $OUT; echo said", env={"OUT": f"{house.path}/o"}), id="x")
    )
    await house.master.until(lambda: house.master.has("x"), "the result")
    assert house.master.result("x").state == "OK"
    assert house.master.texts("x") == ["said"]
    assert (house.path / "o").read_text() == "once\n"
    assert "evil" not in house.master.accepted
    assert "elsewhere" not in house.master.counts


async def test_an_exception_of_the_agent_itself_is_told_to_the_master(
    house: House, logged_failures: LoggedFailures
) -> None:
    house.start()
    house.master.send(house.master.command("ping", {}, id="p"))
    await house.master.until(lambda: house.master.has("p"), "the pong")
    try:
        raise KeyError("x")
    except KeyError:
        Logger(namespace="deployer_agent.x").failure("something failed")
    logged_failures.flush(KeyError)
    await house.master.until(lambda: bool(house.master.texts("")), "the message")
    (text,) = house.master.texts("")
    assert text.startswith("deployer_agent.x: something failed\nTraceback")
    assert "KeyError" in text


async def test_posts_that_the_master_refuses_do_not_hold_up_others(house: House) -> None:
    """As a master does whose idea of a message or a result is not the agent's."""
    house.master.trouble["log"] = [problem(422, "invalid")]
    house.master.trouble["result"] = [problem(422, "invalid")]
    house.start()
    house.master.send(house.master.command("execute", sh("echo said"), id="x"))
    await house.master.until(lambda: house.master.has("x"), "a result all the same")
    assert house.master.result("x").code == "RESULT_REFUSED"
    assert [text for text in house.master.texts("x") if "dropped" in text]
    house.master.send(house.master.command("execute", sh("echo again"), id="y"))
    await house.master.until(lambda: house.master.has("y"), "the next result")
    assert house.master.result("y").state == "OK"
    assert house.master.texts("y") == ["again"]


async def test_a_session_that_is_unknown_or_replaced_is_opened_anew(house: House) -> None:
    house.start()
    house.master.send(house.master.command("ping", {}, id="a"))
    await house.master.until(lambda: house.master.has("a"), "the first")
    house.master.forget_sessions()
    house.master.trouble["accept"] = [problem(409, "stale_session")]
    house.master.send(house.master.command("ping", {}, id="b"))
    await house.master.until(lambda: house.master.has("b"), "the second")


async def test_what_is_forged_or_for_another_is_neither_run_nor_answered(house: House) -> None:
    master = house.master
    house.start()
    good = master.command("execute", sh("echo real"), id="x")
    other_key = seal(Ed25519PrivateKey.generate(), msgspec.json.decode(good.payload, type=_signed()), "")
    changed = msgspec.structs.replace(good, payload=good.payload.replace("real", "evil"))
    data = msgspec.structs.replace(good, data="other data")
    wrong = [master.command("ping", {}, id="n", nid=2), master.command("ping", {}, id="c", company="other")]
    master.send(other_key, changed, data, *wrong)
    master.send(good)
    await master.until(lambda: master.has("x"), "the real one")
    assert master.accepted == ["x"]
    assert master.texts("x") == ["real"]


def _signed() -> Any:
    from deployer.protocol.commands import SignedCommand  # noqa: PLC0415 (only here)

    return SignedCommand


async def test_signed_commands_that_cannot_be_done_end_with_a_code(house: House) -> None:
    master = house.master
    house.start()
    master.send(
        master.command("__class__", {}, id="u"),
        master.command("execute", {"nonsense": 1}, id="b"),
        master.command("execute", {"cmd": "/nowhere"}, id="f"),
        master.command("execute", sh("true", workingdir="/nowhere"), id="w"),
        master.command("ping", {}, id="e", not_after=2000),
    )
    await master.until(lambda: master.has("u", "b", "f", "w", "e"), "all results")
    codes = {result.id: result.code for result in master.results}
    assert codes == {"u": "UNKNOWN_COMMAND", "b": "BAD_ARGUMENTS", "f": "NOT_FOUND", "w": "BAD_WORKDIR", "e": "EXPIRED"}
    assert all(result.reason for result in master.results)


async def test_a_command_that_comes_again_runs_once_and_another_of_its_id_never(house: House) -> None:
    master = house.master
    house.start()
    first = master.command("execute", sh(f"echo once >> {house.path}/o"), id="x")
    master.send(first)
    await master.until(lambda: master.has("x"), "the result")
    master.send(first, master.command("execute", sh(f"echo evil >> {house.path}/o"), id="x"))
    await master.until(lambda: len(master.results) > 1, "the result again")
    master.send(master.command("ping", {}, id="p"))
    await master.until(lambda: master.has("p"), "a ping after it")
    assert (house.path / "o").read_text() == "once\n"


async def test_what_the_master_does_not_want_started_is_not(house: House) -> None:
    master = house.master
    master.verdicts["x"] = "CANCELLED"
    house.start()
    master.send(master.command("execute", sh(f"echo run > {house.path}/o"), id="x"), master.command("ping", {}, id="p"))
    await master.until(lambda: master.has("p"), "the ping")
    assert not (house.path / "o").exists()
    assert not master.has("x")


async def test_a_kill_ends_a_running_task_and_tells_of_unknown_ones(house: House) -> None:
    master = house.master
    house.start()
    master.send(master.command("execute", sh("echo up; sleep 100"), id="x"))
    await master.until(lambda: master.texts("x"), "the first line")
    master.send(master.command("kill", {"id": "x"}, id="x:kill"), master.command("kill", {"id": "y"}, id="y:kill"))
    await master.until(lambda: master.has("x", "x:kill", "y:kill"), "the results")
    assert (master.result("x").state, master.result("x").code) == ("KILLED", "KILLED")
    assert master.result("x:kill").state == "OK"
    assert master.result("y:kill").code == "NO_SUCH_TASK"


async def test_a_kill_overtakes_a_task_that_waits_for_its_acceptance(house: House) -> None:
    master = house.master
    house.start()
    master.trouble["accept"] = [lose]
    master.send(
        master.command("kill", {"id": "x"}, id="x:kill"),
        master.command("execute", sh(f"echo run > {house.path}/o"), id="x"),
    )
    await master.until(lambda: master.has("x", "x:kill"), "the results")
    assert master.result("x").code == "KILLED"
    assert not (house.path / "o").exists()


async def test_a_stop_ends_what_runs_and_tells_the_master(house: House) -> None:
    house.start()
    house.master.send(house.master.command("execute", sh("echo up; sleep 100", grace=1), id="x"))
    await house.master.until(lambda: house.master.texts("x"), "the first line")
    await house.stop()
    assert (house.master.result("x").state, house.master.result("x").code) == ("KILLED", "AGENT_STOPPED")


async def test_after_a_crash_started_tasks_are_unknown_and_accepted_ones_start(house: House) -> None:
    master = house.master
    house.start()
    master.send(master.command("execute", sh("echo up; sleep 100", grace=0), id="x"))
    await master.until(lambda: master.texts("x"), "the first line")
    master.trouble["accept"] = [lose] * 1000
    master.send(master.command("execute", sh(f"echo run >> {house.path}/o"), id="w"))
    await master.until(lambda: master.counts["accept"] > 1, "an acceptance that is lost")
    house.copy_journal_as_a_crash_leaves_it("b")
    await house.stop()
    master.trouble.clear()
    master.results.clear()
    house.start(data_dir=str(house.path / "b"))
    await master.until(lambda: master.has("x", "w"), "both results")
    assert (master.result("x").code, master.result("x").outcome) == ("AGENT_RESTARTED", "unknown")
    assert master.result("w").state == "OK"
    assert (house.path / "o").read_text() == "run\n"


async def test_a_result_that_was_not_acknowledged_is_sent_after_a_restart(house: House) -> None:
    master = house.master
    house.start()
    master.trouble["result"] = [lose] * 1000
    master.send(master.command("ping", {}, id="p"))
    await master.until(lambda: master.counts.get("result"), "a lost result")
    await house.stop()
    master.trouble.clear()
    house.start(join_token_file=None)
    await master.until(lambda: master.has("p"), "the result")


async def test_output_is_held_back_while_the_master_is_away_and_nothing_is_lost(house: House) -> None:
    master = house.master
    master.hold_messages = True
    agent = house.start(hold_bytes=1024 * 1024)
    master.send(master.command("execute", {"cmd": "seq", "args": ["600000"]}, id="x"))
    await master.until(lambda: master.counts.get("log", 0) > 2, "tries to post")
    assert agent._working is not None
    assert agent._working.messages.memory < 3 * 1024 * 1024
    assert not master.has("x")
    master.hold_messages = False
    await master.until(lambda: master.has("x"), "the result", 30)
    assert master.texts("x") == [str(number) for number in range(1, 600_001)]


async def test_the_files_of_the_agent_are_its_own(house: House) -> None:
    house.start()
    house.master.send(house.master.command("ping", {}, id="p"))
    await house.master.until(lambda: house.master.has("p"), "the pong")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (house.path / "a").iterdir()}
    bases = [f"{name}.db{side}" for name in ("journal", "outbox", "statistics") for side in ("", "-wal")]
    files = {"agent.key", "identity.json", "ballast", *bases}
    assert {name: mode for name, mode in modes.items() if not name.endswith("-shm")} == {
        **dict.fromkeys(files, 0o600),
        "messages": 0o700,
    }
    assert stat.S_IMODE((house.path / "a").stat().st_mode) == 0o700


async def test_a_start_that_cannot_be_is_said_in_one_sentence(house: House) -> None:
    house.start(join_token_file=None)
    assert "--join-token-file" in house.failures.pop()
    await house.stop()
    (house.path / "a" / "agent.key").chmod(0o644)
    house.start()
    assert "chmod 600" in house.failures.pop()
    await house.stop()
    (house.path / "a" / "agent.key").chmod(0o600)
    (house.path / "a" / "journal.db").unlink()
    house.start()
    assert "missing" in house.failures.pop()
