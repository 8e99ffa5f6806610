"""When an agent that is not heard counts as overdue and as offline (DESIGN 5)."""

from typing import Final

OVERDUE_MS: Final = 35_000
OFFLINE_MS: Final = 120_000
TOUCH_MS: Final = 5_000
"""The last contact is written at most this often."""
