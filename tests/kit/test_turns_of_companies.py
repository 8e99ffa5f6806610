"""Many of one do not keep one of another waiting."""

from twisted.internet.defer import Deferred

from deployer.kit.turns import Turns


async def test_lines_take_turns_and_who_leaves_is_passed_over() -> None:
    turns, order, gates = Turns(1), list[str](), dict[str, Deferred[None]]()

    async def work(key: str, name: str) -> None:
        async with turns.turn(key):
            order.append(name)
            gates[name] = Deferred()
            await gates[name]

    names = (("a", "a1"), ("a", "a2"), ("a", "a3"), ("a", "a4"), ("b", "b1"))
    running = {name: Deferred.fromCoroutine(work(key, name)) for key, name in names}
    assert (order, turns.waiting("a"), turns.waiting("b")) == (["a1"], 3, 1)
    running["a3"].addErrback(lambda _: None)
    running["a3"].cancel()
    for name in ("a1", "a2", "b1", "a4"):
        gates[name].callback(None)
    assert order == ["a1", "a2", "b1", "a4"]
    assert turns.waiting("a") == 0
    await work_alone(turns)
    running["a1"].cancel()


async def work_alone(turns: Turns) -> None:
    async with turns.turn("c"):
        pass
