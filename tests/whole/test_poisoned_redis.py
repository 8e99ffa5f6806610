"""Who can write to Redis can break jobs, and make no agent run anything (RELIABILITY D3)."""

from pathlib import Path

import msgspec

from support.masters import masters
from support.resp import Resp
from support.wait import until


def test_poisoned_jobs_end_and_nothing_unsigned_is_run(tmp_path: Path) -> None:
    with masters(tmp_path) as made:
        made.start(1)
        made.start_agent(1, made.urls[1])
        made.agents[1].stop()
        for job in ("unsigned", "pickled", "gone", "good"):
            made.submit(1, job, f"touch {tmp_path}/{job}")
        with Resp(made.socket) as redis:
            found = {key.decode().partition("task:")[2]: key for key in redis.ask("KEYS", "dpl:c:*:task:*")}
            wire = msgspec.json.decode(redis.ask("HGET", found["unsigned@1:1"], "wire"))
            wire["payload"] = wire["payload"].replace("/unsigned", "/evil")
            redis.ask("HSET", found["unsigned@1:1"], "wire", msgspec.json.encode(wire))
            redis.ask("HSET", found["pickled@1:1"], "wire", b"\x80\x04cposix\nsystem\n")
            redis.ask("SET", found["gone@1:1"], "x")
        made.agents[1].start()
        assert made.ask(1, "GET", "/api/v1/jobs/good?wait=60")[1]["state"] == "OK"
        for job in ("pickled", "gone"):
            assert made.ask(1, "GET", f"/api/v1/jobs/{job}?wait=60")[1]["state"] == "ERROR"
            assert made.ask(1, "GET", f"/api/v1/jobs/{job}/tasks")[1]["items"][0]["code"] == "CORRUPT"
        until(lambda: "BAD_SIGNATURE" in made.agents[1].text(), what="the agent's refusal")
        assert made.ask(1, "GET", "/api/v1/jobs/unsigned")[1]["state"] == "SENT"
        assert made.ask(1, "DELETE", "/api/v1/jobs/unsigned")[1]["state"] == "KILLED"
        assert made.masters[1].text().count("ALERT") == 2
        assert [(tmp_path / job).exists() for job in ("good", "evil", "unsigned", "pickled", "gone")] == [True] + 4 * [
            False
        ]
