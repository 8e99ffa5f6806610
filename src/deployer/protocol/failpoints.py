"""The places at which tests end, hold or fail master and agent: between two steps of which either may be the last."""

from typing import Final

MASTER: Final[dict[str, str]] = {
    "submit_begun": "a job is checked and not stored",
    "submit_stored": "it is stored, and the client does not know",
    "claim_begun": "an agent asks and nothing is claimed",
    "claim_done": "commands are claimed, and the agent has not got them",
    "accept_begun": "an agent has commands in its journal, and Redis does not know",
    "accept_done": "Redis knows, and the agent does not know that",
    "result_begun": "results have come and are not stored",
    "runs_done": "records of runs are stored, the results beside them are not",
    "result_done": "results are stored, and the agent does not know",
    "log_begun": "messages have come and are not stored",
    "log_done": "messages are stored, and the agent does not know",
    "stats_done": "points are stored, and the agent does not know",
    "session_begun": "an agent has proved who it is and has no session",
    "session_done": "it has one and does not know",
    "join_done": "an agent is enrolled and does not know",
    "cancel_begun": "a job is to end, and nothing is done about it",
    "cancel_done": "it is on its way to its end, and the client does not know",
}
AGENT: Final[dict[str, str]] = {
    "polled": "commands have come and are not in the journal",
    "journaled": "they are in the journal, and the master does not know",
    "accept_answered": "the master has answered, and nothing has been done about it",
    "started": "a task is noted as started, and nothing runs",
    "spawned": "its process runs and is noted nowhere",
    "ran": "it has ended, and the result is not in the journal",
    "result_journaled": "the result is in the journal and not posted",
    "performed": "a built-in command is done and its result in the journal",
    "result_posting": "the result is about to be posted, and the master knows nothing of it",
    "result_answered": "the master has the result, and the journal does not know",
    "log_answered": "the master has messages that are not forgotten yet",
    "run_begun": "a further run is noted, and nothing runs",
    "run_recorded": "a run's record is in the journal, and the next is not begun",
    "kill_noted": "the journal knows of a kill, and nothing is ended",
    "session_opened": "a session is open, and nothing has been asked",
    "recovering": "what an earlier agent left is being ended, and nothing reported",
    "recovered": "an earlier agent's tasks are known again, and none goes on",
}
