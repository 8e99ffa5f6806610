"""References in documents (`{"id", "href"}`), and what is at the paths they name. Pure."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from deployer.client.errors import ApiError, ClientError, Gone
from deployer.client.records import Document
from deployer.client.requests import API

NOT_FOUND = 404


def href_of(reference: Any) -> str | None:
    """Where what it refers to is; None when it is no reference."""
    found = reference.get("href") if isinstance(reference, dict) else None
    return found if isinstance(found, str) else None


def place_of(href: str) -> tuple[str, dict[str, str]]:
    """A path of the master and what is asked of it; ClientError when it leads elsewhere."""
    parts = urlsplit(href)
    if parts.scheme or parts.netloc or not parts.path.startswith(f"{API}/"):
        raise ClientError(f"{href!r} is no path of a master")
    return parts.path, dict(parse_qsl(parts.query))


def noun_of(href: str) -> str:
    """What is at a path, or what its list is of: `jobs/tasks` for `/api/v1/jobs/ID/tasks`."""
    return "/".join(urlsplit(href).path.removeprefix(f"{API}/").split("/")[::2])


def is_page(document: Document) -> bool:
    """Whether it is a part of a list."""
    return isinstance(document.get("items"), list) and "next" in document


def gone(error: ApiError, what: str) -> ApiError:
    """The same error, or a sentence about what is not there any more."""
    if error.status != NOT_FOUND:
        return error
    return Gone(error.status, error.code, f"{what} is not there any more")
