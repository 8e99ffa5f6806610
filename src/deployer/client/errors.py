"""What can go wrong between a client and a master."""

from typing import Any


class ClientError(Exception):
    """Anything the client raises."""


class Unreachable(ClientError):  # noqa: N818 (it says what it is)
    """No master answered."""


class ApiError(ClientError):
    """The master answered with an error: its status, stable code, sentence, and what it points at."""

    is_of_token = True
    """Whether a 401 is about a token."""

    def __init__(self, status: int, code: str, detail: str, errors: list[tuple[str, str]] | None = None) -> None:
        super().__init__(detail or f"status {status}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors or []

    @classmethod
    def from_problem(cls, status: int, problem: object) -> "ApiError":
        """Read a problem+json; whatever else came is an error without a code."""
        if not isinstance(problem, dict):
            return cls(status, "", f"the server answered {status} with something that is not from a master")
        code = str(problem.get("type", "")).rpartition("#")[2]
        detail = str(problem.get("detail") or problem.get("title") or "")
        return cls(status, code, detail, _pointers(problem.get("errors")))


def _pointers(errors: Any) -> list[tuple[str, str]]:
    found = errors if isinstance(errors, list) else []
    return [(str(e.get("pointer", "")), str(e.get("message", ""))) for e in found if isinstance(e, dict)]


class Gone(ApiError):  # noqa: N818 (it says what it is)
    """What something referred to is not there any more, or not for this user."""
