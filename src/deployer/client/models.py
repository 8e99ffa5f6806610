"""Records that fetch what they refer to, when they are asked for it (seed 002): `process.job.tasks`, `task.agent.host`.

What was fetched is kept; `refresh` reads the thing again and forgets what was kept. Nothing is fetched by printing,
comparing or copying. A reference to nothing (null) is None; to something that has gone it is the error `Gone`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final, Self

from deployer.client import records
from deployer.client.answers import items_of
from deployer.client.errors import ApiError, ClientError
from deployer.client.links import gone, href_of, is_page, noun_of, place_of
from deployer.client.records import Document

Fetch = Callable[[str, Mapping[str, Any]], Any]
"""Gives the document at a path, asked with a query."""


class Model:
    """What each of them can."""

    document: Document
    _fetch: Fetch | None = None  # a copy, or what comes out of a pickle, is a record without a client

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        raise NotImplementedError

    @classmethod
    def of(cls, fetch: Fetch, document: Document) -> Self:
        """A model of this document that fetches by `fetch`."""
        made = cls.read(document)
        _set(made, _fetch=fetch)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.document)

    @property
    def href(self) -> str | None:
        """Where it is; tasks have no address of their own."""
        return href_of(self.document)

    def link(self, name: str) -> Any:
        """What the field `name` refers to: a model, a list of models, or None where it refers to nothing.

        ClientError when the field is no reference, Gone when what it refers to is not there any more.
        """
        kept: dict[str, Any] = self.__dict__.setdefault("_kept", {})
        if name not in kept:
            kept[name] = self._follow(name)
        return kept[name]

    def refresh(self) -> Self:
        """Read it again: the fields are those of now, and what was fetched is fetched again when it is asked for."""
        if self.href is None:
            raise ClientError(f"{self._title()} has no address of its own: fetch what it is part of")
        fresh = self.read(self._read_from(self.href, "it"))
        _set(self, **{name: getattr(fresh, name) for name in _names(fresh)}, _kept={})
        return self

    def _follow(self, name: str) -> Any:
        reference = self.document.get(name)
        if reference is None:
            return None
        href = href_of(reference)
        if href is None:
            raise ClientError(f"{name!r} of {self._title()} is no reference")
        page = self._read_from(href, name)
        if not is_page(page):
            return _kind(href).of(self._client(), page)
        return [_kind(href).of(self._client(), item) for item in self._items(href, name, page)]

    def _items(self, href: str, name: str, page: Document) -> list[Document]:
        items = list(items_of(page))
        while page.get("next"):
            page = self._read_from(href, name, cursor=str(page["next"]))
            items += items_of(page)
        return items

    def _read_from(self, href: str, name: str, **more: str) -> Document:
        path, query = place_of(href)
        try:
            found: Document = self._client()(path, {**query, **more})
        except ApiError as error:
            what = f"{name!r} of {self._title()} refers to {href}, which" if name != "it" else self._title()
            raise gone(error, what) from error
        return found

    def _client(self) -> Fetch:
        if self._fetch is None:
            raise ClientError(f"{self._title()} is a copy that knows no client")
        return self._fetch

    def _title(self) -> str:
        its = self.document.get("id") or self.document.get("name") or self.href or ""
        return f"{type(self).__name__.lower()} {its}".strip()


class Job(records.Job, Model):
    """What was asked for."""

    @property
    def tasks(self) -> list["Task"]:
        """All its tasks."""
        found: list[Task] = self.link("tasks")
        return found

    @property
    def user(self) -> "Thing | None":
        """Who asked for it."""
        found: Thing | None = self.link("user")
        return found


class Task(records.Task, Model):
    """A job on one agent."""

    @property
    def agent(self) -> "Agent":
        """Where it runs."""
        found: Agent = self.link("agent")
        return found

    @property
    def runs(self) -> "list[Thing]":
        """The last hundred of its finished runs."""
        found: list[Thing] = self.link("runs")
        return found


class Agent(records.Agent, Model):
    """An agent as the master knows it."""

    @property
    def host(self) -> "Host":
        """The machine that it is on."""
        found: Host = self.link("host")
        return found

    @property
    def company(self) -> "Thing":
        """Whose it is."""
        found: Thing = self.link("company")
        return found


class Host(records.Host, Model):
    """What the machine under an agent is."""

    @property
    def agent(self) -> Agent:
        """The agent that is on it."""
        found: Agent = self.link("agent")
        return found


class Process(records.Process, Model):
    """A process on an agent."""

    @property
    def agent(self) -> Agent:
        """Where it runs."""
        found: Agent = self.link("agent")
        return found

    @property
    def job(self) -> Job | None:
        """The job that it is of; None for what the agent starts by itself."""
        found: Job | None = self.link("job")
        return found

    @property
    def user(self) -> "Thing | None":
        """Who asked for it; None for what the agent starts by itself."""
        found: Thing | None = self.link("user")
        return found


@dataclass(frozen=True)
class Thing(Model):
    """Anything else, as users, companies and monitors: the fields of its document are attributes."""

    document: Document

    @classmethod
    def read(cls, document: Document) -> Self:
        """From JSON."""
        return cls(document)

    def __getattr__(self, name: str) -> Any:
        document = self.__dict__.get("document", {})  # copy and pickle ask before it is there
        if name.startswith("_") or name not in document:
            raise AttributeError(f"there is no {name!r}: it has {', '.join(sorted(document)) or 'nothing'}")
        return self.link(name) if href_of(document[name]) else document[name]


_KINDS: Final[Mapping[str, type[Model]]] = {
    "jobs": Job,
    "jobs/tasks": Task,
    "agents": Agent,
    "hosts": Host,
    "processes": Process,
}


def _again(kind: type[Model], document: Document) -> Model:
    return kind.read(document)


def _kind(href: str) -> type[Model]:
    return _KINDS.get(noun_of(href), Thing)


def _names(record: Any) -> list[str]:
    return [field.name for field in fields(record)] if is_dataclass(record) else []


def _set(record: object, **values: Any) -> None:
    """Records are frozen for all others."""
    for name, value in values.items():
        object.__setattr__(record, name, value)
