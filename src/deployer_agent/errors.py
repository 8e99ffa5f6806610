"""What can go wrong on an agent."""


class StartError(Exception):
    """The agent cannot start; the sentence says what to do."""


class RefusedError(Exception):
    """A command that will not run: the stable code (`protocol.codes`) and one sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
