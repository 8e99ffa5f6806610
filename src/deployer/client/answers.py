"""What answers mean, whichever way they came: errors, whether to wait, JSON, events of a log. Pure."""

import json
from collections.abc import Callable
from typing import Final

from deployer.client.errors import ApiError, ClientError
from deployer.client.records import Document, Dropped, Ended, Job, Message
from deployer.client.sse import Event

BUSY: Final = frozenset({429, 503})
AWAY: Final = frozenset({429, 502, 503, 504})
BAD: Final = 400
"""From here on it is an error."""


def error_of(status: int, answer: bytes) -> ApiError:
    """The error that an answer is."""
    try:
        problem = json.loads(answer)
    except ValueError:
        problem = None
    return ApiError.from_problem(status, problem)


def decode(answer: bytes) -> Document:
    """The JSON object that an answer is; an empty one is an empty object."""
    try:
        found = json.loads(answer) if answer else {}
    except ValueError as error:
        raise ClientError("the answer is not JSON: is this the address of a master?") from error
    if not isinstance(found, dict):
        raise ClientError("the answer is not what a master says: is this its address?")
    return found


def items_of(page: Document) -> list[Document]:
    """What a part of a list has."""
    items = page.get("items", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ClientError("the answer has no list where there should be one: is this the address of a master?")
    return items


def asked_to_wait(status: int, retry_after: str, most_s: float) -> float:
    """Seconds of Retry-After of a busy master, as long as they are no more than one request may take; else 0."""
    if status not in BUSY or not (retry_after.isascii() and retry_after.isdigit()):
        return 0.0
    wait = max(float(retry_after[:9]), 0.1)
    return wait if wait <= most_s else 0.0


def read_news(event: Event) -> Document:
    """An event of the stream of events, as the master sends it; `{"type": "gap"}`: some had gone."""
    try:
        found = {**json.loads(event.data)}
    except (ValueError, TypeError) as error:
        raise ClientError(f"there is an event that is not understood: {event.data[:80]!r}") from error
    return {"type": "gap"} if event.type == "gap" else found


def read_logged(event: Event) -> Document | Dropped | None:
    """An event of all logs: a message as the master sends it, or how many a slow reader has not got."""
    try:
        found = {**json.loads(event.data)}
    except (ValueError, TypeError) as error:
        raise ClientError(f"the logs have an event that is not understood: {event.data[:80]!r}") from error
    if event.type == "dropped":
        return Dropped(int(found.get("count") or 0))
    return found if event.type == "message" else None


def read_event(event: Event, read_job: Callable[[Document], Job] = Job.read) -> Message | Dropped | Ended | None:
    """What an event of a log says; events of kinds that came later than this client are passed over."""
    kinds: dict[str, Callable[[Document], Message | Dropped | Ended]] = {
        "message": Message.read,
        "dropped": lambda document: Dropped(int(document.get("dropped") or 0)),
        "end": lambda document: Ended(read_job(document)),
    }
    read = kinds.get(event.type)
    if read is None:
        return None
    try:
        return read(json.loads(event.data))
    except (ValueError, AttributeError) as error:
        raise ClientError(f"the log has an event that is not understood: {event.data[:80]!r}") from error
