"""What of a job can be another thing after it was submitted: its priority, and how long its processes may run. Pure."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from deployer.model import limits
from deployer.protocol.commands import LONG_RUNNING, TEN_YEARS_S

Priority = Annotated[int, Meta(ge=-limits.PRIORITY, le=limits.PRIORITY)]
TimeLimit = Annotated[int, Meta(ge=0, le=TEN_YEARS_S)]


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is not left as it is: `priority`; `max_time` in seconds, 0 for none."""

    priority: Priority | None = None
    max_time: TimeLimit | None = None

    def over(self, before: "Change") -> "Change":
        """Both, this one last."""
        return Change(
            priority=before.priority if self.priority is None else self.priority,
            max_time=before.max_time if self.max_time is None else self.max_time,
        )

    def args(self, args: Raw) -> Raw:
        """Arguments of a command with this time limit."""
        if self.max_time is None:
            return args
        read: dict[str, Any] = msgspec.json.decode(args)
        return Raw(msgspec.json.encode({**read, "max_time": self.max_time}))


NOTHING = Change()


def has_time_limit(args: Raw) -> bool:
    """Whether a command of these arguments is one that ends, so that it can be given a time limit."""
    read: dict[str, Any] = msgspec.json.decode(args)
    return read.get("max_time", 0) != LONG_RUNNING and not read.get("recurring_period", 0)
