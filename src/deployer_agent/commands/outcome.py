"""How a process ended becomes the result of its task (DESIGN 4). Pure."""

from typing import Final

import msgspec

from deployer.protocol import codes
from deployer.protocol.results import MAX_REASON, MAX_RESULT_BYTES, Result
from deployer.protocol.states import FinalState
from deployer_agent.errors import RefusedError
from deployer_agent.journal.records import Key
from deployer_agent.processes.plan import Ended

_encode = msgspec.json.Encoder().encode
_OURS: Final[dict[str, tuple[FinalState, str]]] = {
    "MAX_TIME": ("TIMEOUT", "it ran longer than its max_time"),
    "KILLED": ("KILLED", "it was ended on demand"),
    "AGENT_STOPPED": ("KILLED", "the agent was stopped while it ran"),
    "LIMIT": ("ERROR", "it went over a limit"),
}


def of_process(id_: str, run: int, ended: Ended) -> Result:
    """What we ended is TIMEOUT or KILLED whatever it answered; else the exit status decides."""
    state, code, reason = _verdict(ended)
    data, cut = _fitting(ended.data)
    return Result(
        id=id_,
        run=run,
        state=state,
        code=code,
        reason=(cut or reason or "")[:MAX_REASON] or None,
        data=data,
        level=ended.level,
        exit_status=ended.exit_status,
        signal=ended.signal,
        starttime=ended.starttime,
        time=ended.time,
        pid=ended.pid,
    )


def refused(key: Key, code: str, reason: str) -> Result:
    """It never ran, or it could not."""
    return Result(id=key[0], run=key[1], state="ERROR", code=code, reason=reason[:MAX_REASON])


def unknown(id_: str, run: int, code: str, reason: str, started: int) -> Result:
    """It was started, and nobody can tell what became of it."""
    return Result(id=id_, run=run, state="ERROR", code=code, reason=reason, outcome="unknown", starttime=started)


def ended_with_agent(id_: str, run: int, started: int) -> Result:
    """It was being ended on demand when its agent died; nothing of it is left."""
    reason = "it was ended on demand, by the agent after the one that was asked"
    return Result(id=id_, run=run, state="KILLED", code=codes.KILLED, reason=reason, starttime=started)


def ended_between_runs(id_: str, run: int, code: str) -> Result:
    """It was ended while it waited for its next run; `run` is how many it has had."""
    reason = "it was ended on demand between two runs" if code == codes.KILLED else "the agent was stopped between runs"
    return Result(id=id_, run=run, state="KILLED", code=code, reason=reason)


def refused_run(id_: str, run: int, error: RefusedError, now: int) -> Result:
    """One run could not be started."""
    reason = error.reason[:MAX_REASON]
    return Result(id=id_, run=run, state="ERROR", code=error.code, reason=reason, starttime=now)


def killed_for_good(result: Result) -> Result:
    """The last run of a task that only a kill ends, whatever that run itself answered."""
    return msgspec.structs.replace(result, state="KILLED", code=codes.KILLED, reason="it was ended on demand")


def given_up(result: Result, reason: str) -> Result:
    """The last run of a task that has ended early too often."""
    return msgspec.structs.replace(result, state="ERROR", code=codes.RESTART_LIMIT, reason=reason)


def ended_before_start(key: Key, code: str) -> Result:
    """It was ended while it waited: on demand, or because its agent was stopped."""
    by_whom = "on demand" if code == codes.KILLED else "with its agent"
    return Result(id=key[0], run=key[1], state="KILLED", code=code, reason=f"it was ended {by_whom} before it started")


def _verdict(ended: Ended) -> tuple[FinalState, str | None, str | None]:
    if ended.by:
        state, reason = _OURS[ended.by]
        return state, ended.by, ended.why or reason
    if ended.signal is not None:
        return "ERROR", codes.SIGNAL, f"it was ended by {ended.signal}, which the agent did not send"
    if ended.exit_status:
        return "ERROR", codes.EXIT_STATUS, f"it ended with status {ended.exit_status}"
    return "OK", None, None


def _fitting(data: str) -> tuple[str, str | None]:
    """Cut a result so that its encoded form is no longer than what the master takes."""
    size = len(_encode(data))
    whole = len(data)
    while size > MAX_RESULT_BYTES:
        data = data[: len(data) * MAX_RESULT_BYTES // size - 1]
        size = len(_encode(data))
    return data, None if len(data) == whole else f"the result was cut from {whole} to {len(data)} characters"
