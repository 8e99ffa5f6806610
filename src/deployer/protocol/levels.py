"""Levels of messages (seed 001): what a number before `::` means."""

from typing import Final

STDOUT: Final = 1
STDERR: Final = 2
PUBLIC: Final = 3
OPERATOR: Final = 4
LOG: Final = 5
STRUCTURED_LOG: Final = 6
WARNING: Final = 7
OPERATIONS_ERROR: Final = 8
CRITICAL: Final = 9
STATSD: Final = 10
DEBUG: Final = 11
RESULT_JSON: Final = 20
RESULT_YAML: Final = 21
RESULT_TOML: Final = 22
RESULT_HRD: Final = 23
JOB: Final = 30

VALID: Final = frozenset({*range(1, 12), *range(20, 24), 30})
RESULTS: Final = frozenset({20, 21, 22, 23, 30})
