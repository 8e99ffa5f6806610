"""What commands have in common that list things of the API, make and remove them."""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import click

from deployer.cli.options import Common
from deployer.cli.output import document, line, names, rows, say
from deployer.client.records import Document


class _Documented(Protocol):
    @property
    def document(self) -> Document: ...


R = TypeVar("R", bound=_Documented)
ROLES: Final = ("viewer", "operator", "owner", "admin")


def place(noun: str, *names: str) -> str:
    """The path of a thing."""
    return "/".join(["/api/v1", noun, *(quote(name, safe="@:") for name in names)])


def whole(told: Common, path: str) -> list[Document]:
    """All of a list that has no pages."""
    found: list[Document] = told.client().get(path).get("items") or []
    return found


def show_list(told: Common, titles: Sequence[str], found: Iterable[Document], fields: Sequence[str]) -> None:
    """A table of these fields, of which the first one names the thing; or the documents, or the names alone."""
    if told.ndjson:
        for one in found:
            line(one)
    elif told.json:
        document({"items": list(found)})
    elif told.quiet:
        names(_text(one, fields[0]) for one in found)
    else:
        rows(titles, [[_text(one, field) for field in fields] for one in found])


def show_records(
    told: Common,
    found: Iterable[R],
    titles: Sequence[str],
    row: Callable[[R], Sequence[object]],
    name: Callable[[R], str],
    *,
    right: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """A table of records; or their documents, or their names alone."""
    if told.ndjson:
        for one in found:
            line(one.document)
    elif told.json:
        document({"items": [one.document for one in found]})
    elif told.quiet:
        names(name(one) for one in found)
    else:
        rows(titles, [row(one) for one in found], right, spare)


def show_one(told: Common, made: Document, said: str, remark: str) -> None:
    """What came of it: the document, or the field that is wanted and a remark."""
    if told.json:
        document(made)
        return
    if said:
        click.echo(str(made.get(said, "")))
    if not told.quiet:
        say(remark)


def read_text(source: str, hint: str) -> str:
    """A file's text, `-` for our own input; BadParameter when it is none."""
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return raw.decode()
    except OSError as error:
        raise click.BadParameter(f"{source}: {error.strerror}", param_hint=hint) from error
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{source} is not UTF-8 at byte {error.start}", param_hint=hint) from error


def given(**fields: Any) -> dict[str, Any]:
    """Those that are there."""
    return {name: value for name, value in fields.items() if value is not None}


def _text(one: Document, field: str) -> str:
    value: Any = one
    for step in field.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
