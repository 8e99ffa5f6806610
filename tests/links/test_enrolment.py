from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployer.protocol.ids import AgentId
from deployer.protocol.signing import sign
from deployer.stores.tokens import JOIN, Token
from support.served import Served, WireAgent


async def test_joining_answers_who_the_agent_is_and_whom_it_obeys(served: Served) -> None:
    new = WireAgent(served, AgentId(1, 5))
    reply = await new.join(served.seeded.join_token.text)
    assert reply.status == 200
    assert reply.json == {"gid": 1, "nid": 5, "company": "acme", "ca": None, "master_keys": [served.key.public]}
    assert (await new.join(served.seeded.join_token.text)).json == reply.json


async def test_joining_needs_a_token_of_ours_and_a_free_number(served: Served) -> None:
    new = WireAgent(served, AgentId(1, 5))
    for token in ("", "x", Token.new(JOIN).text, served.seeded.admin.text):
        assert (await new.join(token)).status == 401
    assert (await new.join(served.seeded.join_token.text, nid=1)).status == 409
    assert (await new.join(served.seeded.join_token.text, public_key="AAAA")).pointers == ["/public_key"]
    assert (await new.join(served.seeded.join_token.text, hostname="a b")).pointers == ["/hostname"]
    assert (await new.join(served.seeded.join_token.text, gid=2)).status == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature": "AAAA"},
        {"challenge": "x"},
        {"challenge": ""},
        {"nid": 99},
        {"instance": "e" * 32},
        {"challenge": "é"},
    ],
)
async def test_a_session_needs_the_agents_own_signature_over_our_challenge(
    served: Served, agent: WireAgent, wrong: Any
) -> None:
    assert (await agent.open(**wrong)).status == 401


async def test_another_key_opens_no_session(served: Served, agent: WireAgent) -> None:
    agent.key = Ed25519PrivateKey.generate()
    assert (await agent.open()).status == 401
    assert len(await served.seeded.agents.agents("acme", None, 10)) == 2


async def test_a_challenge_is_good_once(served: Served, agent: WireAgent) -> None:
    from deployer.protocol.wire import session_text  # noqa: PLC0415 (only here)

    challenge = (await served.ask("GET", "/agent/v1/challenge", token=None)).json["challenge"]
    fixed = {"challenge": challenge, "signature": sign(agent.key, session_text(agent.agent, agent.instance, challenge))}
    assert (await agent.open(**fixed)).status == 200
    assert (await agent.open(**fixed)).status == 401


async def test_a_newer_session_ends_the_older(served: Served, agent: WireAgent) -> None:
    old = agent.session
    reply = await agent.open()
    assert reply.json["epoch"] == 2
    stale = await served.ask("GET", "/1/7/cmd?n=0", token=old)
    assert (stale.status, stale.code) in {(409, "stale_session"), (401, "unauthorized")}


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("accept", {"accepted": ["a/b"]}),
        ("accept", {"accepted": ["a"] * 101}),
        ("accept", {}),
        ("result", {"results": [{"id": "a", "state": "RUNNING"}]}),
        ("result", {"results": [{"id": "a", "state": "OK", "time": -1}]}),
        ("result", {"results": [{"id": "a", "state": "OK", "data": "x" * (1024 * 1024 + 1)}]}),
        ("log", {"boot": "x", "seq": 1, "groups": []}),
        ("log", {"boot": "a" * 32, "seq": -1, "groups": []}),
        ("log", {"boot": "a" * 32, "seq": 1, "groups": [{"task": "a", "messages": [[1, -5, 0, "x"]]}]}),
        ("log", {"boot": "a" * 32, "seq": 1, "groups": [{"task": "a", "messages": [[1, 2**63, 0, "x"]]}]}),
    ],
)
async def test_a_post_that_does_not_fit_is_refused(agent: WireAgent, route: str, body: Any) -> None:
    reply = await agent.post(route, body)
    assert reply.status == 422, reply.body
    assert reply.pointers


async def test_a_post_of_another_media_type_is_refused(served: Served, agent: WireAgent) -> None:
    reply = await served.ask("POST", "/1/7/accept", json={"accepted": []}, token=agent.session)
    assert reply.status == 415
    assert (await served.ask("POST", "/1/7/cmd", token=agent.session)).status == 405


async def test_results_for_what_was_never_given_are_told(served: Served, agent: WireAgent) -> None:
    assert (await agent.post("accept", {"accepted": ["ghost"]})).json == {"verdicts": ["UNKNOWN"]}
    reply = await agent.post("result", {"results": [{"id": "ghost", "state": "OK"}]})
    assert reply.json == {"receipts": ["UNKNOWN"]}
    assert (await served.ask("GET", "/api/v1/jobs/ghost")).status == 404


async def test_a_poll_brings_a_command_that_comes_while_it_waits(served: Served, agent: WireAgent) -> None:
    from twisted.internet.defer import Deferred  # noqa: PLC0415 (only here)

    polling = Deferred.fromCoroutine(agent.poll())
    await served.until(lambda: len(served.hub) == 1)
    await served.submit(target="1:7", id="now")
    assert [c["id"] for c in await polling] == ["now"]


async def test_a_poll_for_nothing_still_brings_kills(served: Served, agent: WireAgent) -> None:
    await served.submit(target="1:7", id="a")
    await agent.poll()
    await agent.post("accept", {"accepted": ["a"]})
    await served.submit(target="1:7", id="b", cmd="execute", args={"cmd": "x"})
    await served.ask("DELETE", "/api/v1/jobs/a")
    await served.submit(target="1:7", id="c")
    assert [c["id"] for c in await agent.poll(0)] == ["a:kill", "c"]
    for query in ("n=x", "n=-1", "n=10000000"):
        assert (await served.ask("GET", f"/1/7/cmd?{query}", token=agent.session)).status == 400
