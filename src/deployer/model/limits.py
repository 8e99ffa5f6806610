"""Limits of queues (RELIABILITY 2.6 k) and of memory (DESIGN 6)."""

from typing import Final

QUEUE_PER_AGENT: Final = 10_000
TASKS_PER_JOB: Final = 10_000
TASKS_AT_ONCE: Final = 250
"""A job with more tasks has a plan: one script that stores more would hold up Redis, and all who wait for it."""
BYTES_AT_ONCE: Final = 2_000_000
"""So many characters of data and arguments one script stores; what has more is stored in several steps."""
FILLED_CHARS: Final = 200_000
"""So long may the arguments of one task of a batch be."""
JOB_CHARS: Final = 256_000_000
"""So much data may all tasks of a job have together."""
DEPENDENCIES: Final = 100
"""So many jobs a job may wait for."""
PRIORITY: Final = 1000
OPEN_PER_COMPANY: Final = 100_000
LOG_SHARE_BYTES: Final = 64 * 1024 * 1024
"""A task's share of the log at the master."""
AGENTS: Final = 100_000
MESSAGES_PER_AGENT: Final = 200_000
MESSAGES_S: Final = 10.0
"""So many messages of one agent are taken in so many seconds by one master; then it is asked to wait."""

LEASE_MS: Final = 30_000
SESSION_S: Final = 3600
CHALLENGE_S: Final = 60
PROOF_S: Final = 5.0
"""How long an instance with the session has to show that it lives, when another one with its key has come."""
TAKEOVERS: Final = 3
TAKEOVER_MS: Final = 600_000
"""So often in this time an instance may take over from one that is silent; then no other one gets a session so long."""
NOT_AFTER_S: Final = 7 * 86400

COMPANIES: Final = 10_000
GRIDS_PER_COMPANY: Final = 1000
USERS_PER_COMPANY: Final = 1000
AGENTS_PER_USER: Final = 1000
"""How many agents a user can be limited to."""

WEBHOOKS_PER_COMPANY: Final = 20
MONITORS_PER_COMPANY: Final = 1000
MONITORS_PER_AGENT: Final = 100
SCHEDULES_PER_COMPANY: Final = 1000
SCHEDULE_BYTES: Final = 32 * 1024
"""How long the job of a schedule may be."""

TOKENS_PER_COMPANY: Final = 1000
LOGINS_PER_USER: Final = 20
LOGIN_IDLE_MS: Final = 8 * 3_600_000
LOGIN_MS: Final = 7 * 86_400_000
"""A browser's session ends when it is idle, and after this time in any case."""
WAITING_PER_COMPANY: Final = 100
"""How many agents may wait to be let in."""
WAITING_MS: Final = 86_400_000
"""How long one waits that asks no more, and how long one is told that it was rejected."""
WAITING_TRIES: Final = 60
"""How often an address may ask in a minute at each master."""
JOIN_TOKEN_S: Final = 30 * 86400
"""How long a join token is good for at most."""

MEMORY_WARNING: Final = 0.80
MEMORY_REFUSAL: Final = 0.95
