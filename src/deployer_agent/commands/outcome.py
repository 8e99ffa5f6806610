"""How a process ended becomes the result of its task (DESIGN 4). Pure."""

from typing import Final

import msgspec

from deployer.protocol import codes
from deployer.protocol.results import MAX_RESULT_BYTES, Result
from deployer.protocol.states import FinalState
from deployer_agent.journal.records import Key
from deployer_agent.processes.plan import Ended

_encode = msgspec.json.Encoder().encode
_MAX_REASON: Final = 2000
_OURS: Final[dict[str, tuple[FinalState, str]]] = {
    "MAX_TIME": ("TIMEOUT", "it ran longer than its max_time"),
    "KILLED": ("KILLED", "it was ended on demand"),
    "AGENT_STOPPED": ("KILLED", "the agent was stopped while it ran"),
}


def of_process(key: Key, ended: Ended) -> Result:
    """What we ended is TIMEOUT or KILLED whatever it answered; else the exit status decides."""
    state, code, reason = _verdict(ended)
    data, cut = _fitting(ended.data)
    return Result(
        id=key[0],
        run=key[1],
        state=state,
        code=code,
        reason=cut or reason,
        data=data,
        level=ended.level,
        exit_status=ended.exit_status,
        signal=ended.signal,
        starttime=ended.starttime,
        time=ended.time,
    )


def refused(key: Key, code: str, reason: str) -> Result:
    """It never ran, or it could not."""
    return Result(id=key[0], run=key[1], state="ERROR", code=code, reason=reason[:_MAX_REASON])


def unknown(key: Key, code: str, reason: str, started: int) -> Result:
    """It was started, and nobody can tell what became of it."""
    return Result(id=key[0], run=key[1], state="ERROR", code=code, reason=reason, outcome="unknown", starttime=started)


def killed_before_start(key: Key) -> Result:
    """It was ended on demand while it waited."""
    return Result(id=key[0], run=key[1], state="KILLED", code=codes.KILLED, reason="it was ended before it started")


def _verdict(ended: Ended) -> tuple[FinalState, str | None, str | None]:
    if ended.by:
        state, reason = _OURS[ended.by]
        return state, ended.by, reason
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
