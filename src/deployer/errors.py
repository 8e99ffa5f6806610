"""Every error of the master's domain, with its stable code. They know nothing of HTTP; `rest.problems` does."""

from typing import ClassVar


class DeployerError(Exception):
    """One sentence for the user and a code for programs."""

    code: ClassVar[str] = "error"


class NotFoundError(DeployerError):
    """It does not exist, or belongs to another company: the two are told alike."""

    code = "not_found"


class InvalidError(DeployerError):
    """A request that is understood and cannot be done; `pointer` (RFC 6901) tells which part of it."""

    code = "invalid"

    def __init__(self, pointer: str, message: str, code: str = "invalid") -> None:
        super().__init__(message)
        self.pointer = pointer
        self.code = code  # type: ignore[misc]  # a finer code than the class's


class MalformedError(DeployerError):
    """A request that cannot be read."""

    code = "malformed"


class UnsupportedTypeError(DeployerError):
    """A body of a type that this route does not take."""

    code = "unsupported_type"


class TooLargeError(DeployerError):
    """A body that is larger than this route takes."""

    code = "body_too_large"


class MethodNotAllowedError(DeployerError):
    """A method that this route does not have."""

    code = "method_not_allowed"


class InFlightError(DeployerError):
    """The same request came before, and what became of it is not known yet."""

    code = "in_flight"


class UnauthorizedError(DeployerError):
    """Nobody we know."""

    code = "unauthorized"


class ForbiddenError(DeployerError):
    """Known, and not allowed."""

    code = "forbidden"


class WaitingError(DeployerError):
    """An agent that somebody has to let in first."""

    code = "waiting"


class RevokedError(DeployerError):
    """An agent that was revoked: the answer is final."""

    code = "revoked"


class ConflictError(DeployerError):
    """Something else holds this name, or a different body came with the same id."""

    code = "conflict"


class ChangedError(DeployerError):
    """Somebody has changed it since it was read."""

    code = "changed"


class StaleSessionError(ConflictError):
    """A newer session of the same agent has taken over."""

    code = "stale_session"


class OtherInstanceError(ConflictError):
    """Another living instance holds the same key."""

    code = "other_instance"


class QuarantinedError(ConflictError):
    """Instances with one key have taken over from each other too often."""

    code = "quarantined"


class PollAgainError(DeployerError):
    """A poll ends early, so that the next one shows that the agent lives; no client sees this."""

    code = "poll_again"


class QueueFullError(DeployerError):
    """A queue is at its limit; try again later."""

    code = "queue_full"


class TooManyError(DeployerError):
    """Too many attempts; `after_s` seconds later there may be another."""

    code = "too_many"

    def __init__(self, message: str, after_s: float = 1.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class NoSpaceError(DeployerError):
    """Redis is near its memory limit; running work goes on, new work is refused."""

    code = "no_space"


class UnavailableError(DeployerError):
    """Redis does not answer; nothing was accepted."""

    code = "unavailable"


class StartError(DeployerError):
    """The master cannot start; the sentence says what to do."""

    code = "start"
