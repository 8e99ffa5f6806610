"""What the intake of numbers counts, over the real Redis."""

from deployer.model import current
from deployer.protocol.stats import Flush, Point, StatsBatch
from deployer.stores.points import Bounds, Points
from deployer.telemetry.points import PointIntake
from support.seeded import AGENT, COMPANY, Seeded

NOW_S = 1_800_000_000


def batch(seq: int, *flushes: Flush) -> StatsBatch:
    return StatsBatch(boot="a" * 32, seq=seq, flushes=list(flushes))


def flush(at: int, count: int) -> Flush:
    return Flush(at, 30, [Point("d", "n", f"k{n}", "sum", 1.0) for n in range(count)])


async def test_what_is_taken_dropped_and_displaced_is_counted_once(seeded: Seeded) -> None:
    intake = PointIntake(Points(seeded.redis, Bounds(entries=2)), lambda: float(NOW_S))
    session = await seeded.session()
    for seq in (1, 1, 2, 3):
        mixed = batch(seq, flush(NOW_S, 3), flush(NOW_S + 86400, 2), flush(0, 1))
        assert await intake.store(session, mixed) == seq
    assert (intake.accepted, intake.dropped, intake.displaced, intake.over) == (9, 9, 1, 0)


async def test_without_a_metric_store_numbers_are_shown_and_none_wait_for_it(seeded: Seeded) -> None:
    points = Points(seeded.redis)
    intake = PointIntake(points, lambda: float(NOW_S), is_kept=False)
    session = await seeded.session()
    for seq in (1, 1, 2):
        assert await intake.store(session, batch(seq, flush(NOW_S, 3))) == seq
    assert await points.entries(COMPANY, "-", 10) == []
    assert (intake.accepted, intake.displaced) == (6, 0)
    ((row,),) = await points.current([AGENT])
    assert len(row.values) == 3


async def test_numbers_beyond_those_shown_of_one_agent_are_stored_and_counted(seeded: Seeded) -> None:
    points = Points(seeded.redis)
    intake = PointIntake(points, lambda: float(NOW_S))
    await intake.store(await seeded.session(), batch(1, flush(NOW_S, current.MAX_VALUES + 2)))
    assert (intake.accepted, intake.over) == (current.MAX_VALUES + 2, 2)
    ((row,),) = await points.current([AGENT])
    assert len(row.values) == current.MAX_VALUES
