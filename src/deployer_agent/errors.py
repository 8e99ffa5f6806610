"""What goes wrong in the agent, each with one sentence for whoever has to do something about it."""


class StartError(Exception):
    """The agent cannot start or go on; the sentence is for its operator."""


class JournalError(StartError):
    """The journal is damaged, too new, or in use by another agent."""


class IdentityError(StartError):
    """The key or the identity of this agent cannot be used."""


class RefusedError(Exception):
    """A task that is not run: the stable code (protocol/codes.py) and one clear sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ForgedError(RefusedError):
    """An envelope that nobody who may has sent: it is neither journaled nor answered, only counted and logged."""


class LinkError(Exception):
    """A request that brought no usable answer: it is tried again."""


class RevokedError(LinkError):
    """The master takes this agent no more: there is nothing to try again."""


class ProblemError(LinkError):
    """The master refused a request; `code` is the last part of the problem's type."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}"[:500])
        self.status = status
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether the same body will be refused again: its form or size is what a master does not take."""
        return self.status in {400, 413, 422} and bool(self.code)
