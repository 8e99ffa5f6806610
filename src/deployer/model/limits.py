"""Limits of queues (RELIABILITY 2.6 k) and of memory (DESIGN 6)."""

from typing import Final

QUEUE_PER_AGENT: Final = 10_000
OPEN_PER_COMPANY: Final = 100_000
LOG_SHARE_BYTES: Final = 64 * 1024 * 1024
"""A task's share of the log at the master."""
LEASE_MS: Final = 30_000
SESSION_S: Final = 3600
CHALLENGE_S: Final = 60
NOT_AFTER_S: Final = 7 * 86400

TOKENS_PER_COMPANY: Final = 1000
JOIN_TOKEN_S: Final = 30 * 86400
"""How long a join token is good for at most."""

MEMORY_WARNING: Final = 0.80
MEMORY_REFUSAL: Final = 0.95
