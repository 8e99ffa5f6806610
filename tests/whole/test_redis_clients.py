"""The client that goes through Redis, with a real master, its own Redis and real agents (seed 001)."""

import os
import signal
import threading

import pytest

from deployer.client.redis import CommandFailed, RedisClient
from support.programs import Fleet


def test_commands_go_out_and_results_come_back(running: Fleet) -> None:
    running.start_agent(2)
    client = RedisClient(running.data)
    echo = client.execute(1, 1, "execute", {"cmd": "/bin/sh", "args": ["-c", "cat; echo '20::[1,2]'"]}, "3::hi\n")
    assert echo.result(60).value == [1, 2]
    everywhere = client.execute_many([(1, 1), (1, 2)], "get_os_info")
    assert [(one.nid, one.state, type(one.value)) for one in client.gather(everywhere, 60)] == [
        (1, "OK", dict),
        (2, "OK", dict),
    ]
    page = client.get_msgs(1, 1, jobid=echo.id, levels="3")
    assert [(one["data"], one["level"]) for one in page.items] == [("hi", 3)]
    assert page.next is None
    with pytest.raises(CommandFailed, match="no agent matches"):
        client.execute(1, 9, "ping").result(60)
    with pytest.raises(CommandFailed, match="ERROR EXIT_STATUS") as caught:
        client.execute(1, 1, "execute", {"cmd": "/bin/false"}).result(60)
    assert caught.value.result.exit_status == 1
    client.close()


def test_a_wait_outlasts_the_death_of_the_master_and_its_redis(running: Fleet) -> None:
    client = RedisClient(running.data, patience_s=1)
    command = client.execute(1, 1, "execute", {"cmd": "/bin/sleep", "args": ["3"]})
    assert client.execute(1, 1, "ping").result(60).value == "pong"
    running.master.kill()
    for server in running.redis_servers():
        os.kill(server.pid, signal.SIGKILL)
    back = threading.Thread(target=running.start_master)
    back.start()
    assert command.wait(60).state == "OK"
    back.join()
    client.close()
