"""Makes the tasks of jobs that have a plan: any master takes a plan that is due, and goes on where another one was."""

from collections.abc import Sequence
from typing import Final

import msgspec
from twisted.logger import Logger

from deployer.dispatch.placing import NOTHING, Chosen, Placing, Seating
from deployer.dispatch.signer import Signer
from deployer.dispatch.standing import standing
from deployer.kit.clock import Clock, WallClock, epoch_ms, sleep
from deployer.kit.failpoints import reach
from deployer.model import limits, plans
from deployer.model.batches import with_item
from deployer.model.plans import End, Make, Planned, step
from deployer.protocol import codes
from deployer.protocol.ids import AgentId
from deployer.protocol.results import Result
from deployer.stores.plans import Made, Plan, Plans, Taken, Verdict, encode

LOOK_AGAIN_MS: Final = 300_000
"""What a plan waits for makes it due, in the script in which it happens; this is for what nobody thought of."""
ROOM_MS: Final = 5_000
"""How soon one is looked at again that found no agent with room: others than its own tasks may have made some."""
TURNS: Final = 20
"""So many lots of tasks of one plan are made before the next plan has its turn."""
SIGNED_A_TURN: Final = 50


class Planner:
    """Looks at plans that are due."""

    log = Logger()

    def __init__(self, store: Plans, placing: Placing, signer: Signer, clock: Clock, wall: WallClock) -> None:
        self._plans = store
        self._placing = placing
        self._signer = signer
        self._clock = clock
        self._wall = wall
        self.made = 0
        self.ended = 0

    async def round(self) -> bool:
        """Tell jobs of an end that they wait for, or look at one plan; whether there was something to do."""
        if await self._plans.tell():
            return True
        taken = await self._plans.take()
        if taken is None:
            return False
        reach("plan_taken")
        try:
            again = await self._work(taken)
        except (ValueError, KeyError, RecursionError):
            again = await self._give_up(taken)
        await self._plans.leave(taken, again)
        return True

    async def _give_up(self, taken: Taken) -> int | None:
        self.log.error(
            "ALERT: the plan of job {job} in Redis is damaged: what is not made of it ends as CORRUPT",
            job=taken.job,
            company=taken.company,
        )
        return await self._end(taken, "ERROR", _DAMAGED)

    async def _end(self, taken: Taken, state: str, result: bytes) -> int | None:
        """No more tasks are made, and nobody has to look again."""
        self.ended += await self._plans.end(taken.company, taken.job, state, result)
        return None

    async def _work(self, taken: Taken) -> int | None:
        """Make what may be made now; ms until the next look, None when there will be none."""
        seating = self._placing.begin(taken.company)
        for _ in range(TURNS):
            plan = await self._plans.look(taken.company, taken.job, plans.MADE_TOGETHER)
            if plan is None:
                return None
            again = await self._turn(taken, plan, seating)
            if again != 0:
                return again
        return 0

    async def _turn(self, taken: Taken, plan: Plan, seating: Seating) -> int | None:
        """Make the next lot of tasks, or end them; ms until the next look, None when there will be none."""
        document, now = plan.job.document, epoch_ms(self._wall)
        if not plan.planned or document.id != taken.job:
            return await self._give_up(taken)
        next_step = step(standing(plan.job, now))
        if isinstance(next_step, End):
            return await self._end(taken, next_step.state, result_of(next_step))
        if not isinstance(next_step, Make):
            return _look_again_ms(document.not_after - now)
        return await self._go_on(taken, plan, next_step.most, seating)

    async def _go_on(self, taken: Taken, plan: Plan, most: int, seating: Seating) -> int | None:
        """Make so many tasks at most; ms until the next look, None when there will be none."""
        if await self._plans.memory() >= limits.MEMORY_REFUSAL:
            return ROOM_MS  # what is there has to end first
        verdicts = await self._make(taken.company, plan, most, seating)
        if verdicts is None or any(one != "FULL" for one in verdicts):
            return 0
        if seating.is_deserted(plan):
            return await self._end(taken, "ERROR", GONE_RESULT)
        await self._plans.wait_for_room(taken.company, plan.job)
        return ROOM_MS

    async def _make(self, company: str, plan: Plan, most: int, seating: Seating) -> Sequence[Verdict] | None:
        some = plan.planned[:most]
        agents = await seating.agents(plan, some)
        if not any(agents) and not (some[0].agent and len(plan.planned) == plans.MADE_TOGETHER):
            return ["FULL"] * len(some)  # those behind them are alike, or there are none: all stays as it is
        made = await self._prepared(company, plan, some, agents)
        reach("plan_make_begun")
        verdicts = await self._plans.make(company, plan.job, made, GONE_RESULT)
        reach("plan_made")
        self.made += sum(one != "FULL" for one in verdicts or ())
        return verdicts

    async def _prepared(
        self, company: str, plan: Plan, some: Sequence[Planned], agents: Sequence[Chosen | None]
    ) -> list[Made]:
        """The first of these tasks, as many as one script is to store."""
        made: list[Made] = []
        size = 0
        for number, (raw, planned, place) in enumerate(zip(plan.raw, some, agents, strict=False), 1):
            one = self._task(company, plan, raw, planned, place)
            size += len(one.wire)
            if made and size > limits.BYTES_AT_ONCE:
                break
            made.append(one)
            if number % SIGNED_A_TURN == 0:
                await sleep(self._clock, 0)
        return made

    def _task(self, company: str, plan: Plan, raw: bytes, planned: Planned, place: Chosen | None) -> Made:
        document = plan.job.document
        id_, requires = planned.task_id(document.id), document.requires or NOTHING
        if place is None:
            return Made(raw=raw, id=id_)
        return Made(
            raw=raw,
            id=id_,
            agent=place.agent,
            wire=self._wire(company, plan, planned, place.agent),
            item=b"" if planned.item is None else encode(planned.item),
            ram=requires.ram,
            load=requires.thousandths,
            max_ram=place.max_ram,
            max_load=place.max_load,
            max_jobs=place.max_jobs,
        )

    def _wire(self, company: str, plan: Plan, planned: Planned, agent: AgentId) -> bytes:
        document, task = plan.job.document, planned.task_id(plan.job.document.id)
        args = None if planned.item is None else with_item(bytes(document.args), planned.item)
        return self._signer.wire(company, document, (task, agent), plan.need.data, args)


def _look_again_ms(left: int) -> int:
    """Not long after a job's `not_after`, in any case."""
    return min(max(left, 0) + 1000, LOOK_AGAIN_MS)


_encode = msgspec.json.Encoder().encode
GONE_RESULT: Final = _encode(
    Result(id="revoked", state="ERROR", code=codes.AGENT_REVOKED, reason="its agent was revoked before it started")
)
_DAMAGED: Final = _encode(
    Result(id="corrupt", state="ERROR", code=codes.CORRUPT, reason="the plan of its job in Redis is damaged")
)


def result_of(end: End) -> bytes:
    """The result of tasks that end without having been made."""
    return _encode(Result(id="planned", state=end.state, code=end.code, reason=end.reason))
