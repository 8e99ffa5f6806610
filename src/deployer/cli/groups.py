"""Output of many hosts, once for all that put out the same and ended the same way (as clush -b shows it)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from deployer.cli.fold import by_number, fold
from deployer.cli.output import Printer, one_line, plain, say, to_stdout
from deployer.client.records import Dropped, Message, Task

MOST_CHARACTERS: Final = 64 * 1024 * 1024
"""More output than this is not kept to be grouped."""

_RULE: Final = "-" * 15


@dataclass(frozen=True, slots=True)
class Group:
    """Agents, how their tasks ended where that was not well, and what they have put out."""

    agents: Sequence[str]
    ended: str
    lines: Sequence[str]


def grouped(messages: Iterable[Message], tasks: Iterable[Task]) -> list[Group]:
    """The largest group first; agents without output and without trouble are one too. Pure."""
    ends: dict[str, list[str]] = {}
    for task in tasks:
        ends.setdefault(task.agent_id, [])
        if task.state != "OK":
            ends[task.agent_id].append(how_it_ended(task))
    texts: dict[str, list[str]] = {agent: [] for agent in ends}
    for message in messages:
        texts.setdefault(message.agent, []).extend(plain(message))
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for agent, lines in texts.items():
        found.setdefault(("; ".join(ends.get(agent, [])), tuple(lines)), []).append(agent)
    groups = [Group(sorted(agents, key=by_number), ended, lines) for (ended, lines), agents in found.items()]
    return sorted(groups, key=lambda one: (-len(one.agents), by_number(one.agents[0])))


def how_it_ended(task: Task) -> str:
    """`ERROR EXIT_STATUS (exit status 3)`, of an item of a batch `item 7: ERROR …`."""
    item = task.document.get("item")
    front = "" if item is None else f"item {item}:"
    return " ".join(filter(None, [front, task.state, task.code, task.reason and f"({task.reason})"]))


def show(items: Iterable[Message | Dropped], tasks: Sequence[Task]) -> None:
    """Print them; more than can be kept is printed line by line, with who said it."""
    kept: list[Message] = []
    size = 0
    left = iter(items)
    for item in left:
        if isinstance(item, Dropped):
            say(f"{item.count} messages were dropped")
            continue
        kept.append(item)
        size += len(item.data)
        if size > MOST_CHARACTERS:
            say("there is too much output to group it")
            printer = Printer(named=True)
            for one in chain(kept, left):
                printer.show(one)
            return
    for group in grouped(kept, tasks):
        _print(group)


def _print(group: Group) -> None:
    head = f"{fold(group.agents)} ({len(group.agents)})" + (f": {group.ended}" if group.ended else "")
    to_stdout("\n".join([_RULE, one_line(head), _RULE, *group.lines]))
