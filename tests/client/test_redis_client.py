"""The client that goes through Redis, against a real Redis in which the test plays the master."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.client.errors import ClientError, Unreachable
from deployer.client.redis import CommandFailed, RedisClient, TimedOut
from deployer.client.redisconnection import RedisError, Where
from support.resp import Resp


@pytest.fixture
def server(redis_socket: Path) -> Iterator[Resp]:
    with Resp(redis_socket) as one:
        one.ask("FLUSHALL")
        yield one


@pytest.fixture
def client(redis_socket: Path, server: Resp) -> Iterator[RedisClient]:
    one = RedisClient(f"unix:{redis_socket}", patience_s=0)
    yield one
    one.close()


def pushed(server: Resp, queue: str = "cmds_queue") -> list[dict[str, Any]]:
    return [json.loads(one) for one in server.ask("LRANGE", queue, 0, -1)]


def end(server: Resp, id_: str, state: str = "OK", **more: Any) -> None:
    server.ask("RPUSH", f"cmds_queue_{id_}", json.dumps({"id": id_, "gid": 1, "nid": 1, "state": state, **more}))


def test_a_command_is_pushed_as_the_seed_says(client: RedisClient, server: Resp) -> None:
    command = client.execute(1, 2, "execute", {"cmd": "/bin/cat"}, "Grüße")
    client.execute(1, 2, "execute_js_py", {"domain": "d", "name": "n"}, {"a": 1}, id_="mine")
    first, second = pushed(server)
    assert len(first["id"]) == 32
    assert first == {
        "id": command.id,
        "gid": 1,
        "nid": 2,
        "cmd": "execute",
        "args": {"cmd": "/bin/cat"},
        "data": "Grüße",
    }
    assert (second["id"], second["data"]) == ("mine", '{"a": 1}')


def test_another_companys_commands_have_queues_of_their_own(redis_socket: Path, server: Resp) -> None:
    client = RedisClient(redis_socket, company="c7")
    client.execute(1, 1, "ping", id_="a")
    server.ask("RPUSH", "c:c7:cmds_queue_a", '{"id": "a", "state": "OK"}')
    assert pushed(server, "c:c7:cmds_queue")[0]["cmd"] == "ping"
    assert client.command("a").wait(5).state == "OK"
    client.close()


def test_a_result_is_waited_for_taken_and_kept(client: RedisClient, server: Resp, redis_socket: Path) -> None:
    command = client.execute(1, 1, "execute")

    def later() -> None:
        with Resp(redis_socket) as other:
            end(other, command.id, level=20, data="[1, 2]", time=3, starttime=7)

    threading.Timer(0.2, later).start()
    result = command.wait(20)
    assert (result.state, result.value, result.data, result.time, result.starttime) == ("OK", [1, 2], "[1, 2]", 3, 7)
    assert command.result(0) is result
    assert server.ask("EXISTS", f"cmds_queue_{command.id}") == 0


def test_no_result_in_time_is_an_error_and_may_be_waited_for_again(client: RedisClient, server: Resp) -> None:
    command = client.execute(1, 1, "ping", id_="slow")
    for seconds in (0, 0.01):
        with pytest.raises(TimedOut, match="the command slow has no result after"):
            command.wait(seconds)
    end(server, "slow")
    assert command.wait(0).state == "OK"


def test_what_ended_badly_is_an_error_only_for_who_wants_it_to_have_gone_well(
    client: RedisClient, server: Resp
) -> None:
    command = client.execute(1, 1, "execute", id_="bad")
    end(server, "bad", "ERROR", cmd="execute", code="EXIT_STATUS", reason="exit status 3", exit_status=3)
    assert command.wait(5).exit_status == 3
    with pytest.raises(CommandFailed, match=r"execute bad on 1:1: ERROR EXIT_STATUS \(exit status 3\)") as caught:
        command.result(5)
    assert caught.value.result is command.wait(0)


def test_many_are_pushed_at_once_and_come_back_in_any_order(client: RedisClient, server: Resp) -> None:
    commands = client.execute_many([(1, nid) for nid in range(1, 1501)], "ping")
    assert [one["nid"] for one in pushed(server)] == list(range(1, 1501))
    for command in reversed(commands):
        end(server, command.id)
    assert {one.id for one in client.as_completed(commands, 30)} == {one.id for one in commands}
    assert [one.id for one in client.gather(commands, 0)] == [one.id for one in commands]
    assert server.ask("KEYS", "cmds_queue_*") == []


def test_of_many_those_that_are_missing_are_counted(client: RedisClient, server: Resp) -> None:
    commands = client.execute_many([(1, 1), (1, 2), (1, 3)], "ping")
    end(server, commands[1].id)
    with pytest.raises(TimedOut, match=r"2 commands have no result after 0\.05 s"):
        client.gather(commands, 0.05)
    assert [one.done for one in commands] == [False, True, False]


def test_each_run_of_what_goes_on_has_its_result(client: RedisClient, server: Resp) -> None:
    command = client.execute(1, 1, "execute", {"recurring_period": 1}, id_="r")
    for run in (1, 2):
        end(server, "r", data=f"run {run}")
    runs = command.runs(0.05)
    assert [next(runs).data, next(runs).data] == ["run 1", "run 2"]
    with pytest.raises(TimedOut):
        next(runs)


def test_a_json_result_that_is_none_is_an_error(client: RedisClient, server: Resp) -> None:
    end(server, "x", level=20, data="{")
    with pytest.raises(ClientError, match="the result of x is no JSON"):
        _ = client.command("x").wait(5).value


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"time": "soon"}'])
def test_what_is_no_result_is_an_error(client: RedisClient, server: Resp, raw: bytes) -> None:
    server.ask("RPUSH", "cmds_queue_x", raw)
    with pytest.raises(ClientError, match="is none"):
        client.command("x").wait(5)


def test_a_refusal_of_redis_is_an_error(client: RedisClient, server: Resp) -> None:
    server.ask("SET", "cmds_queue", "no list")
    with pytest.raises(RedisError, match="WRONGTYPE"):
        client.execute(1, 1, "ping")


def test_a_connection_that_was_cut_is_made_again(redis_socket: Path, server: Resp) -> None:
    client = RedisClient(redis_socket)
    command = client.execute(1, 1, "ping")
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    end(server, command.id)
    assert command.wait(20).state == "OK"
    client.close()


@pytest.mark.parametrize("address", ["/nonexistent/redis.sock", "unix:/nonexistent", "redis://127.0.0.1:1/0"])
def test_no_redis_is_unreachable(address: str) -> None:
    with pytest.raises(Unreachable, match="no Redis answers at"):
        RedisClient(address, patience_s=0).command("x").wait()


def test_a_data_directory_without_a_running_master_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="does the master run there"):
        RedisClient(tmp_path)


@pytest.mark.parametrize("address", ["", "redis://", "http://a", "redis://a/x", "redis://a:port", "127.0.0.1:6379"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ClientError):
        RedisClient(address)


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("redis://h", Where("h:6379", host="h")),
        ("redis://h:7/3", Where("h:7", host="h", port=7, database=3)),
        ("rediss://:p%40@h", Where("h:6379", host="h", secure=True, login=("p@",))),
        ("redis://u:p@h", Where("h:6379", host="h", login=("u", "p"))),
        ("unix:/s", Where("/s", path="/s")),
        ("unix:///s", Where("/s", path="/s")),
        ("/s", Where("/s", path="/s")),
    ],
)
def test_addresses_are_read(address: str, where: Where) -> None:
    assert Where.read(address) == where
    assert "p@" not in repr(Where.read(address))
