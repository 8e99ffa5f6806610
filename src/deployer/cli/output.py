"""What is written where: output of jobs as it is, or harmless where a person looks at it (RELIABILITY W10)."""

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from importlib import import_module
from typing import IO, Any, Final

import click

from deployer.client.records import Dropped, Job, Message
from deployer.protocol import levels

NAMES: Final = {
    levels.PUBLIC: "public",
    levels.OPERATOR: "operator",
    levels.LOG: "log",
    levels.STRUCTURED_LOG: "structured",
    levels.WARNING: "warning",
    levels.OPERATIONS_ERROR: "error",
    levels.CRITICAL: "critical",
    levels.STATSD: "statsd",
    levels.DEBUG: "debug",
    levels.JOB: "job",
}
_TO_STDOUT: Final = frozenset({levels.STDOUT, *range(levels.RESULT_JSON, levels.RESULT_HRD + 1)})
LINES: Final = "deployer.ndjson"
"""In the context's `meta`: whether JSON goes out in lines."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ANY_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Show control characters instead of letting a terminal obey them; line ends and tabs stay."""
    return _CONTROL.sub(_shown, text)


def one_line(text: str) -> str:
    """Harmless, and without line ends and tabs too."""
    return _ANY_CONTROL.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 (two hex digits)


def say(text: str) -> None:
    """A remark to the person, on stderr."""
    click.echo(f"deployer: {one_line(text)}", err=True)


def document(value: Any) -> None:
    """One JSON document; with --ndjson a line for each item of a list, or one line."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(LINES):
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
        return
    for item in value["items"] if set(value) == {"items"} else [value]:
        line(item)


def line(value: Any) -> None:
    """One line of JSON, at once."""
    click.echo(json.dumps(value, ensure_ascii=False))


def is_for_many(job: Job) -> bool:
    """Whether a job has tasks on several agents."""
    return sum(job.counts.values()) > 1


class Printer:
    """Writes output of jobs as it comes."""

    def __init__(self, *, named: bool = False) -> None:
        """`named`: each line begins with its agent, since there are several."""
        self._named = named
        self._out = _Stream("stdout")
        self._err = _Stream("stderr")

    def show(self, item: Message | Dropped, front: str = "") -> None:
        """Write one message: levels 1 and results to stdout, all others to stderr; `front` before each line."""
        if isinstance(item, Dropped):
            say(f"{front}{item.count} messages were dropped here")
            return
        front += f"{item.agent}  " if self._named else ""
        stream = self._out if item.level in _TO_STDOUT else self._err
        stream.write("\n".join(front + line for line in plain(item)))


def plain(message: Message) -> list[str]:
    """The lines of a message; what is no output begins with what it is."""
    usual = message.level in _TO_STDOUT or message.level == levels.STDERR
    head = "" if usual else f"{NAMES.get(message.level, f'level {message.level}')}: "
    return [head + line for line in message.data.split("\n")]


def to_stdout(text: str) -> None:
    """Lines of output, harmless where a person looks at them."""
    _Stream("stdout").write(text)


class _Stream:
    def __init__(self, name: str) -> None:
        self._terminal = getattr(sys, name).isatty()
        self._bytes: IO[bytes] = getattr(sys, name).buffer

    def write(self, text: str) -> None:
        shown = harmless(text) if self._terminal else text
        self._bytes.write(shown.encode("utf-8", "replace") + b"\n")
        self._bytes.flush()


def names(values: Iterable[str]) -> None:
    """What things are called, a line each, on a terminal too."""
    for value in values:
        click.echo(one_line(value))


def rows(
    titles: Sequence[str],
    lines: Iterable[Sequence[object]],
    right: Collection[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """A table on a terminal; else values between tabs, one line each, without titles.

    `right`: titles of columns of numbers; `spare`: those that a narrow terminal does without, the first first.
    """
    shown = ([one_line("" if value is None else str(value)) for value in line] for line in lines)
    if sys.stdout.isatty():
        import_module("deployer.cli.tables").show(titles, shown, right, spare)  # rich takes 50 ms to import
        return
    for line in shown:
        click.echo("\t".join(line))
