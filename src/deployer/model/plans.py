"""What follows for a job whose tasks are not all made yet: more of them now, later, or none any more. Pure.

A job has a plan when it waits for other jobs, goes on a few agents at a time, asks for room on its agents, is a batch,
or has more tasks than are made at once. A planned task is BLOCKED; it is made when its turn has come, and then QUEUED.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from deployer.model.batches import Item
from deployer.protocol import codes
from deployer.protocol.ids import JobId
from deployer.protocol.states import FINAL, TaskState

MADE_TOGETHER: Final = 100
THOUSANDTHS: Final = 1000
On = Literal["success", "failure", "always"]


class Planned(Struct, frozen=True, omit_defaults=True):
    """A task that is still to be made. `agent`: empty when any of the job's may have it; `n`: its number in a batch."""

    agent: str = ""
    n: int = 0
    item: Item | None = None

    def task_id(self, job: str) -> str:
        """The id that the task has when it is made."""
        return f"{job}:{self.n}" if self.n else job


class Requires(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a task takes of its agent while it is there: `ram` in bytes, `load` in cores."""

    ram: Annotated[int, Meta(ge=0, le=2**50)] = 0
    load: Annotated[float, Meta(ge=0, le=100_000)] = 0.0

    @property
    def thousandths(self) -> int:
        """The load as a whole number, which is what Redis counts."""
        return round(self.load * THOUSANDTHS)


class Dependency(Struct, frozen=True, forbid_unknown_fields=True):
    """Another job, and how it has to end."""

    id: JobId
    on: On = "success"


class Rolling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many tasks at once, or such a part of all as `25%`; after so many failures no more begin (null: never so)."""

    size: Annotated[int, Meta(ge=1, le=1_000_000)] | Annotated[str, Meta(pattern=r"^(100|[1-9][0-9]?)%\Z")] = "100%"
    max_failures: Annotated[int, Meta(ge=1, le=1_000_000)] | None = 1


class Standing(Struct, frozen=True, kw_only=True):
    """How a job stands. `ends`: the states of those that it waits for, once they have ended. Times are epoch ms."""

    counts: Mapping[TaskState, int]
    depends_on: Sequence[Dependency]
    ends: Mapping[str, str]
    not_after: int
    now: int
    window: int = 0
    max_failures: int = 0

    @property
    def failures(self) -> int:
        """How many tasks ended otherwise than well."""
        return sum(n for state, n in self.counts.items() if state in FINAL) - self.counts.get("OK", 0)

    @property
    def made(self) -> int:
        """How many tasks are on their way."""
        return sum(n for state, n in self.counts.items() if state not in FINAL and state != "BLOCKED")


class Make(Struct, frozen=True):
    """So many more tasks at once."""

    most: int


class Wait(Struct, frozen=True):
    """Nothing until something changes; why."""

    reason: str


class End(Struct, frozen=True):
    """No more tasks: those that are not made end so."""

    state: Literal["ERROR", "KILLED"]
    code: str
    reason: str


def step(standing: Standing) -> Make | Wait | End:
    """What is to be done for the job now."""
    if standing.now >= standing.not_after:
        return End("ERROR", codes.EXPIRED, "not started before its not_after")
    for one in standing.depends_on:
        if (ended := standing.ends.get(one.id)) is not None and (end := _unmet(one, ended)) is not None:
            return end
    if waited := [one.id for one in standing.depends_on if one.id not in standing.ends]:
        return Wait(f"waits for job {waited[0]}" + (f" and {len(waited) - 1} more" if len(waited) > 1 else ""))
    return _roll(standing)


def _roll(standing: Standing) -> Make | Wait | End:
    """What is to be done for a job that has waited for all others."""
    if standing.max_failures and standing.failures >= standing.max_failures:
        return End("ERROR", codes.ROLLOUT_STOPPED, f"not started: {_failed(standing.failures)} of its job had failed")
    if not standing.window:
        return Make(MADE_TOGETHER)
    room = standing.window - standing.made
    if room <= 0:
        return Wait(f"waits for its turn: at most {standing.window} at once")
    return Make(min(room, MADE_TOGETHER))


def _failed(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def _unmet(wanted: Dependency, state: str) -> End | None:
    """Why a job cannot start any more, after one that it waited for has ended."""
    if wanted.on == "success" and state != "OK":
        return End("ERROR", codes.DEPENDENCY_FAILED, f"not started: job {wanted.id} ended as {state}")
    if wanted.on == "failure" and state == "OK":
        return End("KILLED", codes.CANCELLED, f"not needed: job {wanted.id} ended well")
    return None


def window(size: int | str, total: int) -> int:
    """How many tasks may be on their way at once, of so many: a number, or a part as `25%`, at least one."""
    if isinstance(size, int):
        return size
    return max(1, total * int(size.removesuffix("%")) // 100)
