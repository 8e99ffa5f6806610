"""Roles, labels and places of agents: declared by their files, changed here, the change wins."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.traits import TraitsChange, changed, effective
from deployer.protocol.traits import NONE, PLACES, Traits
from deployer.stores import keys
from support.hosts import HOST
from support.seeded import AGENT
from support.served import Reply, Served, WireAgent

PATH = "/api/v1/agents/1:7"
DECLARED = {"roles": ["web"], "labels": {"owner": "eve", "tier": "1"}, "rack": "r1", "region": "eu"}


async def declare(agent: WireAgent, **traits: Any) -> None:
    assert (await agent.open(traits=traits)).status == 200


async def patch(served: Served, path: str = PATH, tag: str | None = None, **change: Any) -> Reply:
    headers = {} if tag is None else {"If-Match": tag}
    return await served.ask("PATCH", path, json=change, headers=headers)


async def test_what_is_declared_counts_until_it_is_changed_here_and_again_when_that_is_taken_back(
    served: Served, agent: WireAgent
) -> None:
    await declare(agent, **DECLARED)
    shown = (await served.ask("GET", PATH)).json
    assert {name: shown[name] for name in DECLARED} == DECLARED
    assert (shown["declared"], shown["changes"], shown["zone"]) == (DECLARED, {}, None)
    reply = await patch(served, roles=["db"], labels={"tier": "2", "new": "x"}, rack="r9", zone="z")
    assert reply.status == 200, reply.body
    its = reply.json
    assert (its["roles"], its["rack"], its["zone"], its["region"]) == (["db"], "r9", "z", "eu")
    assert its["labels"] == {"owner": "eve", "tier": "2", "new": "x"}
    await declare(agent, **{**DECLARED, "region": "us"})  # the agent is restarted with another file
    its = (await served.ask("GET", PATH)).json
    assert (its["rack"], its["region"], its["declared"]["rack"]) == ("r9", "us", "r1")
    its = (await patch(served, roles=None, labels={"tier": None}, rack=None, zone=None)).json
    assert (its["roles"], its["rack"], its["zone"]) == (["web"], "r1", None)
    assert its["labels"] == {"owner": "eve", "tier": "1", "new": "x"}
    assert (await patch(served, labels=None)).json["changes"] == {}


async def test_a_host_and_its_agent_are_one(served: Served, agent: WireAgent) -> None:
    assert (await agent.post("facts", msgspec.to_builtins(HOST))).status == 200
    reply = await patch(served, "/api/v1/hosts/1:7", datacenter="dc1", labels={"a": "b"})
    assert (reply.json["datacenter"], reply.json["labels"]) == ("dc1", {"a": "b"})
    assert (await served.ask("GET", PATH)).json["datacenter"] == "dc1"
    (first, second) = (await served.ask("GET", "/api/v1/hosts")).json["items"]
    assert (first["datacenter"], second["datacenter"]) == (None, "dc1")


async def test_a_change_of_what_somebody_else_has_changed_is_refused(served: Served, agent: WireAgent) -> None:
    tag = (await served.ask("GET", PATH)).header("etag")
    first = await patch(served, tag=tag, rack="r1")
    assert first.status == 200
    assert (await patch(served, tag=tag, rack="r2")).status == 412
    assert (await patch(served, "/api/v1/hosts/1:7", tag=first.header("etag"), rack="r3")).status == 200
    reply = await served.ask("GET", PATH, headers={"If-None-Match": first.header("etag")})
    assert (reply.status, reply.json["rack"]) == (200, "r3")  # its state changes without its ETag
    assert agent.agent.nid == 7


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"rack": ""}, "/rack"),
        ({"rack": "x" * 65}, "/rack"),
        ({"rack": "a b"}, "/rack"),
        ({"rack": 7}, "/rack"),
        ({"roles": ["web", ""]}, "/roles/1"),
        ({"roles": ["r"] * 51}, "/roles"),
        ({"labels": {"": "x"}}, "/labels"),
        ({"labels": {"a": "x" * 129}}, "/labels/"),
        ({"labels": {"a": "\n"}}, "/labels/"),
        ({"labels": {f"l{n}": "x" for n in range(101)}}, "/labels"),
        ({"state": "online"}, "/state"),
        ({"company": "other"}, "/company"),
    ],
)
async def test_what_does_not_fit_is_told_at_its_place(
    served: Served, agent: WireAgent, change: dict[str, Any], pointer: str
) -> None:
    reply = await patch(served, **change)
    assert reply.status == 422, reply.body
    assert reply.pointers[0].startswith(pointer)
    assert (await served.ask("GET", PATH)).json["changes"] == {}
    assert agent.agent.nid == 7


async def test_there_is_a_number_of_labels_at_most(served: Served, agent: WireAgent) -> None:
    assert (await patch(served, labels={f"l{n}": "x" for n in range(100)})).status == 200
    assert (await patch(served, labels={"l0": "y"})).status == 200
    assert (await patch(served, labels={"one-more": "x"})).status == 422
    assert agent.agent.nid == 7


@pytest.mark.parametrize("traits", [{"rack": "a b"}, {"labels": {"a": 1}}, {"nope": 1}, {"roles": "web"}])
async def test_an_agent_that_declares_what_does_not_fit_gets_no_session(
    served: Served, agent: WireAgent, traits: dict[str, Any]
) -> None:
    assert (await agent.open(traits=traits)).status == 422
    assert (await served.ask("GET", PATH)).status == 200


async def test_damaged_traits_hide_the_agent_and_fail_nothing(served: Served, agent: WireAgent) -> None:
    await served.seeded.redis.call("HSET", keys.agent(agent.agent), "traits", "{")
    assert (await served.ask("GET", PATH)).status == 404
    assert [one["nid"] for one in (await served.ask("GET", "/api/v1/agents")).json["items"]] == [AGENT.nid]


WORDS = st.sampled_from(["a", "b", "c"])
TRAITS = st.builds(
    Traits,
    roles=st.none() | st.lists(WORDS, max_size=3),
    labels=st.none() | st.dictionaries(WORDS, WORDS, max_size=3),
    **{place: st.none() | WORDS for place in PLACES},
)
CHANGES = st.builds(
    TraitsChange,
    roles=st.just(msgspec.UNSET) | st.none() | st.lists(WORDS, max_size=3),
    labels=st.just(msgspec.UNSET) | st.none() | st.dictionaries(WORDS, st.none() | WORDS, max_size=3),
    **{place: st.just(msgspec.UNSET) | st.none() | WORDS for place in PLACES},
)


@given(TRAITS, TRAITS, CHANGES)
def test_a_change_is_what_counts_and_taking_all_back_leaves_what_is_declared(
    declared: Traits, before: Traits, change: TraitsChange
) -> None:
    after = effective(declared, changed(before, change))
    for place in PLACES:
        wanted = getattr(change, place)
        if isinstance(wanted, str):
            assert getattr(after, place) == wanted
        elif wanted is None:
            assert getattr(after, place) == getattr(declared, place)
    for name, value in (change.labels or {}).items():
        assert (after.labels or {}).get(name) == (value or (declared.labels or {}).get(name))
    nothing = TraitsChange(roles=None, labels=None, rack=None, zone=None, datacenter=None, region=None)
    back = changed(before, nothing)
    assert back == NONE
    assert effective(declared, back) == msgspec.structs.replace(declared, labels=declared.labels or {})
