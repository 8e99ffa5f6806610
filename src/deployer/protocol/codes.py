"""Stable codes of tasks: why a task ended as it did. Programs compare them, so none is ever renamed."""

from typing import Final

CANCELLED: Final = "CANCELLED"  # ended by a client before it started
EXPIRED: Final = "EXPIRED"  # its `not_after` passed before it started
DEPENDENCY_FAILED: Final = "DEPENDENCY_FAILED"  # a job that it waited for did not end as it had to
ROLLOUT_STOPPED: Final = "ROLLOUT_STOPPED"  # as many tasks of its job as may had failed before its turn
AGENT_RESTARTED: Final = "AGENT_RESTARTED"  # the agent died while it ran: outcome unknown
AGENT_STOPPED: Final = "AGENT_STOPPED"  # ended because its agent was stopped in order
AGENT_REVOKED: Final = "AGENT_REVOKED"  # its agent was revoked; outcome unknown where it may have run
CORRUPT: Final = "CORRUPT"  # its record in Redis is damaged
UNKNOWN_COMMAND: Final = "UNKNOWN_COMMAND"
BAD_ARGUMENTS: Final = "BAD_ARGUMENTS"
BAD_SIGNATURE: Final = "BAD_SIGNATURE"  # not signed by a master this agent joined
WRONG_AGENT: Final = "WRONG_AGENT"  # signed for another agent or company
REPLAY: Final = "REPLAY"  # another command of the same id and run was already taken
TOO_OLD: Final = "TOO_OLD"  # older than what the agent's journal remembers
NOT_FOUND: Final = "NOT_FOUND"  # the executable does not exist
NOT_EXECUTABLE: Final = "NOT_EXECUTABLE"
BAD_WORKDIR: Final = "BAD_WORKDIR"
SPAWN_FAILED: Final = "SPAWN_FAILED"
ROOT_REFUSED: Final = "ROOT_REFUSED"  # the agent is root and may not run jobs as root
EXIT_STATUS: Final = "EXIT_STATUS"  # ended by itself with a status that is not 0
SIGNAL: Final = "SIGNAL"  # ended by a signal that the agent did not send
BAD_SCRIPT: Final = "BAD_SCRIPT"  # too long, not to be had, or not what was signed
BAD_RESULT: Final = "BAD_RESULT"  # it ended well, but its result is not what its level says
RESULT_REFUSED: Final = "RESULT_REFUSED"  # it ended, and the master did not take the form of its result
LIMIT: Final = "LIMIT"  # over its memory, or silent for longer than its watchdog
RESTART_LIMIT: Final = "RESTART_LIMIT"  # ended early more often than `max_restart`
MAX_TIME: Final = "MAX_TIME"  # ran longer than `max_time`
KILLED: Final = "KILLED"  # ended on demand
NO_SUCH_TASK: Final = "NO_SUCH_TASK"  # a kill of what this agent does not have
NO_SPACE: Final = "NO_SPACE"
NO_SUCH_USER: Final = "NO_SUCH_USER"  # the host does not know the user or group it should run as
PRIVILEGES: Final = "PRIVILEGES"  # its user could not be set: nothing was run
LIMITS: Final = "LIMITS"  # a limit or its cgroup could not be set: nothing was run
NOT_ALLOWED: Final = "NOT_ALLOWED"  # the policy of the agent's host forbids it

KILLED_CODES: Final = frozenset({CANCELLED, AGENT_STOPPED, KILLED})
