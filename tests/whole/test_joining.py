"""A master with its own CA and an agent that knows its fingerprint, as real programs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import CLIENT, Issuer, kept
from support.secure import Secure
from support.wait import until


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_an_agent_joins_by_the_fingerprint_in_its_token_and_another_by_an_option(secure: Secure) -> None:
    token = (secure.data / "join-token").read_text().strip()
    bare, _, pin = token.rpartition("_")
    secure.agent("a1", token, "--nid=1")
    secure.agent("a2", bare, "--nid=2", f"--ca-fingerprint=sha256:{pin}")
    until(lambda: secure.states() == {"1:1": "online", "1:2": "online"}, what="both agents to be online")
    stranger = secure.agent("a3", bare, "--nid=3", f"--ca-fingerprint={'0' * 64}")
    until(lambda: "shows no CA with the fingerprint" in stranger.text(), what="the third to say why it does not join")
    assert stranger.text().count("could not join") == 1
    made = secure.ask("POST", "/api/v1/join-tokens", {"name": "more"})
    assert made["token"].endswith(f"_{pin}")
    job = {"cmd": "execute", "args": {"cmd": "/bin/echo", "args": ["hi"]}, "target": "1:2", "id": "hi"}
    assert secure.ask("POST", "/api/v1/jobs?wait=60", job)["state"] == "OK"
    assert set(secure.states()) == {"1:1", "1:2"}
    texts = "".join(program.text() for program in secure.programs)
    assert bare.rpartition("_")[2] not in texts


def test_a_master_with_a_ca_for_agents_takes_no_agent_without_its_certificate(tmp_path: Path) -> None:
    agents = Issuer("CA of agents")
    ca = kept(tmp_path / "agents.pem", agents.pem)
    config = tmp_path / "master.toml"
    config.write_text(f'client_ca_file = "{ca}"\n')
    secure = Secure(tmp_path, f"--config={config}")
    try:
        token = (secure.data / "join-token").read_text().strip()
        own = kept(tmp_path / "own.pem", agents.issue((), CLIENT))
        other = kept(tmp_path / "other.pem", Issuer("CA of agents").issue((), CLIENT))
        without = secure.agent("a1", token, "--nid=1")
        wrong = secure.agent("a2", token, "--nid=2", f"--tls-cert={other}")
        secure.agent("a3", token, "--nid=3", f"--tls-cert={own}")
        until(lambda: secure.states() == {"1:3": "online"}, what="the agent with a certificate")
        until(lambda: "403 forbidden" in without.text(), what="the agent without one to say so")
        until(lambda: "could not join" in wrong.text(), what="the agent with another's to say so")
        until(lambda: "a client certificate is refused" in secure.master.text(), what="the master to say why")
        assert set(secure.states()) == {"1:3"}
    finally:
        secure.stop()


def test_of_an_agent_and_its_copy_one_works_and_the_other_says_why_not(secure: Secure, tmp_path: Path) -> None:
    token = (secure.data / "join-token").read_text().strip()
    first = secure.agent("a1", token, "--nid=1")
    until(lambda: secure.states() == {"1:1": "online"}, what="the agent to be online")
    first.stop()
    shutil.copytree(tmp_path / "a1", tmp_path / "a2")
    first.start()
    until(lambda: first.text().count("is open") == 2, what="the agent to be back")
    copy = secure.agent("a2", token, "--nid=1")
    until(lambda: "other_instance" in copy.text(), what="the copy to be refused")
    append = {"cmd": "/bin/sh", "args": ["-c", f"echo x >> {tmp_path}/runs"]}
    for number in range(5):
        job = {"cmd": "execute", "args": append, "target": "1:1", "id": f"j{number}"}
        assert secure.ask("POST", "/api/v1/jobs?wait=60", job)["state"] == "OK"
    assert (tmp_path / "runs").read_text().split() == ["x"] * 5
    assert first.text().count("is open") == 2
    assert "is open" not in copy.text()
    assert secure.ask("GET", "/api/v1/agents/1:1")["duplicate"]["outcome"] == "refused"
    assert "another instance" in secure.master.text()
    first.kill()
    until(lambda: "is open" in copy.text(), what="the copy to take over", deadline_s=120)


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Secure]:
    config = tmp_path / "master.toml"
    config.write_text("waiting_room = true\n")
    made = Secure(tmp_path, f"--config={config}")
    try:
        yield made
    finally:
        made.stop()


def test_an_agent_without_a_token_waits_joins_is_revoked_and_ends_quietly(roomy: Secure, tmp_path: Path) -> None:
    pin = (roomy.data / "join-token").read_text().strip().rpartition("_")[2]
    options = ("--gid=1", "--ask-to-join", "--allow-root", f"--ca-fingerprint={pin}", f"--url={roomy.url}")
    agent = roomy.start("deployer-agent", "a1", *options)
    requests = until(lambda: roomy.ask("GET", "/api/v1/agent-requests")["items"], what="its request")
    assert f"sha256:{requests[0]['id']}" in agent.text()
    assert roomy.states() == {}
    assert roomy.ask("POST", f"{requests[0]['href']}/accept", {})["id"] == "1:1"
    until(lambda: roomy.states() == {"1:1": "online"}, what="the agent to be online", deadline_s=120)
    append = {"cmd": "/bin/sh", "args": ["-c", f"sleep 3; echo x >> {tmp_path}/runs"]}
    roomy.ask("POST", "/api/v1/jobs", {"cmd": "execute", "args": append, "target": "1:1", "id": "j"})
    until(lambda: roomy.ask("GET", "/api/v1/jobs/j")["state"] == "RUNNING", what="the job to run")
    assert roomy.ask("DELETE", "/api/v1/agents/1:1")["state"] == "revoked"
    until(lambda: "takes agent 1:1 no more" in agent.text(), what="the agent to say so")
    until((tmp_path / "runs").exists, what="the job to end")
    assert agent.process is not None
    assert agent.process.poll() is None
    assert agent.text().count("takes agent 1:1 no more") == 1
    assert roomy.states() == {"1:1": "revoked"}
    agent.stop()
    (tmp_path / "a1" / "identity.json").unlink()
    again = roomy.start("deployer-agent", "a1", *options)
    assert again.process is not None
    assert again.process.wait(60) != 0
    assert "does not take this agent any more" in again.text()


def test_an_agent_comes_back_to_a_master_that_has_lost_its_state(roomy: Secure, tmp_path: Path) -> None:
    token = (roomy.data / "join-token").read_text().strip()
    agent = roomy.agent("a1", token, "--nid=4")
    until(lambda: roomy.states() == {"1:4": "online"}, what="the agent to be online")
    roomy.master.stop()
    shutil.rmtree(tmp_path / "master" / "redis")
    roomy.master.arguments = [one.replace("tcp:0:", f"tcp:{roomy.port}:") for one in roomy.master.arguments]
    roomy.master.start()
    until(lambda: roomy.master.text().count("listens at") == 2, what="the master to be back")
    requests = until(lambda: roomy.ask("GET", "/api/v1/agent-requests")["items"], what="its request", deadline_s=150)
    assert (requests[0]["gid"], requests[0]["nid"]) == (1, 4)
    roomy.ask("POST", f"{requests[0]['href']}/accept", {})
    until(lambda: roomy.states() == {"1:4": "online"}, what="the agent to be back", deadline_s=200)
    job = {"cmd": "execute", "args": {"cmd": "/bin/echo", "args": ["hi"]}, "target": "1:4", "id": "hi"}
    assert roomy.ask("POST", "/api/v1/jobs?wait=60", job)["state"] == "OK"
    assert "joined again" in agent.text()
