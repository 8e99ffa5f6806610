from deployer.protocol.stats import How
from deployer.stores import keys
from deployer.stores.metrics.index import Index
from deployer.stores.redis import Redis


async def test_series_are_admitted_until_there_are_too_many(redis: Redis) -> None:
    index = Index(redis, 4)
    assert await index.admit("acme", {"a": "sum", "b": "last"}, 10) == {"a": "sum", "b": "last"}
    admitted = await index.admit("acme", {"c": "max", "d": "max", "a": "last"}, 10)
    assert admitted in ({"c": "max", "a": "sum"}, {"d": "max", "a": "sum"})
    assert index.overflow == 1
    assert len(await index.names("acme")) == 3
    assert await Index(redis, 4).admit("other", {"d": "max"}, 10) == {"d": "max"}


async def test_all_masters_know_the_same_series(redis: Redis) -> None:
    one, other = Index(redis, 10), Index(redis, 10)
    assert list(await other.names("acme")) == []
    await one.admit("acme", {"b": "sum", "a": "last"}, 10)
    assert list(await other.names("acme")) == ["a", "b"]
    await other.admit("acme", {"c": "min"}, 11)
    await one.admit("acme", {"d": "min"}, 11)
    assert list(await one.names("acme")) == list(await other.names("acme")) == ["a", "b", "c", "d"]
    assert await one.hows("acme", ["c", "x", "a"]) == {"c": "min", "a": "last"}


async def test_the_names_are_the_same_object_until_there_are_others(redis: Redis) -> None:
    index = Index(redis, 10)
    await index.admit("acme", {"a": "sum"}, 10)
    names = await index.names("acme")
    await index.admit("acme", {"a": "sum"}, 11)
    assert await index.names("acme") is names
    await index.admit("acme", {"b": "sum"}, 11)
    assert await index.names("acme") is not names


async def test_what_nothing_has_come_from_for_long_is_forgotten(redis: Redis) -> None:
    index, other = Index(redis, 3), Index(redis, 3)
    await index.admit("acme", {"old": "sum", "new": "sum"}, 10)
    await other.admit("acme", {"new": "sum"}, 20)
    assert await index.forget("acme", 10) == []
    assert await index.forget("acme", 15) == ["old"]
    assert list(await other.names("acme")) == ["new"]
    assert await index.admit("acme", {"fresh": "last"}, 20) == {"fresh": "last"}


async def test_many_series_are_admitted_at_once(redis: Redis) -> None:
    hows: dict[str, How] = {f"agents.1.1.s{number}": "sum" for number in range(1700)}
    index = Index(redis, 1600)
    assert len(await index.admit("acme", hows, 1)) == 1600
    assert index.overflow == 100
    assert len(await Index(redis, 1600).names("acme")) == 1600


async def test_damage_in_redis_costs_what_is_damaged_only(redis: Redis) -> None:
    index, key = Index(redis, 10), keys.series("acme")
    await index.admit("acme", {"a": "sum"}, 10)
    await redis.call("HSET", key, "b", "nonsense", b"\xff", "sum:1", "c", "max:notaday")
    await redis.call("SET", f"{key}:version", "not a number")
    assert "a" in await Index(redis, 10).names("acme")
    await index.admit("acme", {"b": "last", "d": "min"}, 11)
    assert {"a", "b", "d"} <= set(await index.names("acme"))
    for wrong in (("SET", key, "x"), ("LPUSH", f"{key}:version", "x")):
        await redis.call("UNLINK", key, f"{key}:version")
        await redis.call(*wrong)
        await index.admit("acme", {"e": "sum"}, 12)
        assert "e" in await Index(redis, 10).names("acme")


async def test_names_that_others_choose_leave_room_for_agents(redis: Redis) -> None:
    index = Index(redis, 10)
    assert len(await index.admit("acme", {f"app.n{number}": "sum" for number in range(20)}, 1)) == 8
    agents: dict[str, How] = {f"agents.1.1.n{number}": "sum" for number in range(5)}
    assert len(await index.admit("acme", agents, 1)) == 2
    assert index.overflow == 12 + 3
