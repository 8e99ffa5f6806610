"""What became of a task, as the agent reports it."""

from typing import Annotated

from msgspec import Meta, Struct

from deployer.protocol.ids import TaskId
from deployer.protocol.messages import Count, Moment
from deployer.protocol.states import FinalState

MAX_RESULT_BYTES = 1024 * 1024
MAX_REASON = 2000


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of a task, or of one finished run of a task that goes on.

    `run`: how many times it has been started. `missed`: periods that passed without a run before this one. `data`
    is the last result message as printed, of `level` (0 when there was none). `starttime` is epoch ms on the agent's
    clock (0: never started), `time` how long it took in ms. Without gid, nid, cmd and args of seed 001's result: the
    first two come from the session, never from the message; the others the master has. `pid`: of the process, 0 when
    there was none.
    """

    id: TaskId
    run: Annotated[int, Meta(ge=1, le=2**53)] = 1
    state: FinalState
    code: str | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] | None = None
    data: str = ""
    level: int = 0
    exit_status: int | None = None
    signal: str | None = None
    outcome: str | None = None
    starttime: Moment = 0
    time: Count = 0
    missed: Count = 0
    pid: Annotated[int, Meta(ge=0, le=2**31)] = 0
