"""Seed 001's public contract: a command is pushed into Redis, and its result comes into a list named after its id."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.programs import Fleet
from support.resp import Resp
from support.wait import until


def socket_of(running: Fleet) -> Path:
    return next((running.data / "redis").glob("*.sock*"))


def push(redis: Resp, id_: str, *command: str, **more: Any) -> None:
    args = {"cmd": command[0], "args": list(command[1:]), "domain": "d", **more.pop("args", {})}
    redis.ask(
        "RPUSH", "cmds_queue", json.dumps({"id": id_, "gid": 1, "nid": 1, "cmd": "execute", "args": args, **more})
    )


def result(redis: Resp, id_: str, seconds: int = 60) -> dict[str, Any]:
    popped = redis.ask("BLPOP", f"cmds_queue_{id_}", seconds)
    assert popped is not None, f"no result of {id_}"
    answer: dict[str, Any] = json.loads(popped[1])
    return answer


def test_a_command_that_is_pushed_is_run_and_its_result_comes_back(running: Fleet) -> None:
    with Resp(socket_of(running)) as redis:
        text = 'cat; echo said; echo 20::{\\"data\\":[1,2]}'
        push(redis, "a.1", "/bin/sh", "-c", text, data="007", args={"max_time": 30})
        answer = result(redis, "a.1")
        assert answer["args"].pop("loglevels_ac") == "2-9,20-23,30"
        assert {name: answer[name] for name in ("id", "gid", "nid", "cmd", "data", "state", "level")} == {
            "id": "a.1",
            "gid": 1,
            "nid": 1,
            "cmd": "execute",
            "data": '{"data":[1,2]}',
            "state": "OK",
            "level": 20,
        }
        assert answer["args"] == {"cmd": "/bin/sh", "args": ["-c", text], "domain": "d", "max_time": 30}
        assert answer["starttime"] > 0
        assert answer["time"] >= 0
        assert running.job("a.1")["user"]["id"] == "cmds_queue"
        assert running.lines("a.1") == ['{"data":[1,2]}']  # output of level 1 stays with the agent
        push(redis, "quiet", "/bin/true")
        quiet = result(redis, "quiet")
        assert (quiet["data"], quiet["level"], quiet["state"]) == ("", 0, "OK")
        assert redis.ask("LLEN", "cmds_queue") == 0


def test_results_have_an_end(running: Fleet) -> None:
    with Resp(socket_of(running)) as redis:
        push(redis, "x", "/bin/true")
        until(lambda: redis.ask("LLEN", "cmds_queue_x"), what="the result")
        assert 0 < redis.ask("TTL", "cmds_queue_x") <= 86400


def test_every_finished_run_is_one_more_element(running: Fleet) -> None:
    with Resp(socket_of(running)) as redis:
        push(redis, "r", "/bin/echo", "20::1", args={"recurring_period": 1})
        first, second = result(redis, "r"), result(redis, "r")
        assert (first["data"], first.get("run", 1), second["run"]) == ("1", 1, 2)
        running.ask("DELETE", "/api/v1/jobs/r")
        last = until(lambda: [one] if (one := result(redis, "r"))["state"] == "KILLED" else [], what="the end")[0]
        assert last["id"] == "r"


def test_what_never_starts_is_answered_too(running: Fleet) -> None:
    running.agents[1].stop()
    with Resp(socket_of(running)) as redis:
        push(redis, "waits", "/bin/true")
        until(lambda: redis.ask("LLEN", "cmds_queue") == 0, what="the job")
        assert running.ask("DELETE", "/api/v1/jobs/waits")[0] == 202
        answer = result(redis, "waits")
        assert (answer["id"], answer["state"], answer["code"], answer["data"]) == ("waits", "KILLED", "CANCELLED", "")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"id": "bad", "gid": 1, "nid": 1, "cmd": "nonsense"}, "no command is named"),
        ({"id": "bad", "gid": 1, "nid": 9, "cmd": "ping"}, "no agent matches"),
        ({"id": "bad", "gid": 1, "nid": 1, "cmd": "execute", "args": {"cmd": "/x", "max_time": "soon"}}, "max_time"),
        ({"id": "bad", "gid": 1, "nid": 1, "cmd": "ping", "roles": ["*"]}, "roles"),
        ({"id": "bad", "gid": "1", "nid": 1, "cmd": "ping"}, "gid"),
    ],
)
def test_a_command_that_cannot_be_a_job_is_answered_with_an_error(running: Fleet, entry: object, reason: str) -> None:
    with Resp(socket_of(running)) as redis:
        redis.ask("RPUSH", "cmds_queue", json.dumps(entry))
        answer = result(redis, "bad")
        assert (answer["id"], answer["state"], answer["data"]) == ("bad", "ERROR", "")
        assert reason in answer["reason"]
        push(redis, "good", "/bin/true")
        assert result(redis, "good")["state"] == "OK"


def test_what_is_no_command_is_set_aside_and_holds_up_nothing(running: Fleet) -> None:
    rubbish = [b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"id": 7}', b"{" * 5000, b'{"id":"../x","cmd":"ping"}']
    with Resp(socket_of(running)) as redis:
        for entry in rubbish:
            redis.ask("RPUSH", "cmds_queue", entry)
        push(redis, "good", "/bin/true")
        assert result(redis, "good")["state"] == "OK"
        bad = [json.loads(one) for one in redis.ask("LRANGE", "cmds_queue:bad", 0, -1)]
        assert len(bad) == len(rubbish)
        assert all(one["reason"] for one in bad)


def test_nothing_that_was_pushed_is_lost_when_the_master_dies(running: Fleet, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    ids = [f"k{number}" for number in range(60)]
    with Resp(socket_of(running)) as redis:
        for id_ in ids:
            push(redis, id_, "/bin/sh", "-c", f"echo {id_} >> {marks}")
        until(lambda: redis.ask("LLEN", "cmds_queue") < len(ids), what="some to be taken")
    running.master.kill()
    for server in running.redis_servers():
        os.kill(server.pid, signal.SIGKILL)
    running.start_master()
    with Resp(socket_of(running)) as redis:
        assert {result(redis, id_)["state"] for id_ in ids} == {"OK"}
        assert [redis.ask("LLEN", f"cmds_queue_{id_}") for id_ in ids] == [0] * len(ids)
    assert sorted(marks.read_text().split()) == sorted(ids)


def test_a_damaged_queue_is_said_and_the_rest_goes_on(running: Fleet) -> None:
    with Resp(socket_of(running)) as redis:
        until(lambda: redis.ask("SET", "cmds_queue", "no list"), what="the damage")
        assert running.submit("j", "/bin/true", wait_s=30)["state"] == "OK"
        redis.ask("DEL", "cmds_queue")
        push(redis, "good", "/bin/true")
        assert result(redis, "good")["state"] == "OK"
