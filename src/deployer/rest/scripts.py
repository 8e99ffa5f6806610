"""Scripts of a company: put as text, listed, read, removed."""

from msgspec import Struct
from twisted.logger import Logger

from deployer.errors import InvalidError, NotFoundError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.access import Caller, Permission
from deployer.protocol.scripts import MAX_SCRIPT_BYTES, digest, is_name
from deployer.protocol.times import iso
from deployer.rest.answers import Answer
from deployer.rest.endpoint import endpoint
from deployer.stores.library import Library, ScriptRecord


class ScriptSummary(Struct, frozen=True):
    """A script's newest version."""

    domain: str
    name: str
    href: str
    sha256: str
    size: int
    user: str
    created: str


class ScriptDetail(ScriptSummary, frozen=True):
    """The same with its text, and the hashes of all versions that are kept, the newest first."""

    versions: list[str]
    text: str


class ScriptPage(Struct, frozen=True):
    """All scripts, by domain and name."""

    items: list[ScriptSummary]
    next: None = None


class ScriptRoutes:
    """`/api/v1/scripts`."""

    log = Logger()

    def __init__(self, library: Library, wall: WallClock) -> None:
        self._library = library
        self._wall = wall

    @endpoint("GET", "/api/v1/scripts", needs=Permission.READ, returns=ScriptPage)
    async def list_all(self, caller: Caller) -> ScriptPage:
        """All of the company."""
        return ScriptPage([ScriptSummary(*_summary(record)) for record in await self._library.records(caller.company)])

    @endpoint(
        "PUT",
        "/api/v1/scripts/<domain>/<name>",
        needs=Permission.EXECUTE,
        returns=ScriptSummary,
        text=True,
        statuses=(201, 200),
    )
    async def put(self, caller: Caller, domain: str, name: str, text: str) -> Answer:
        """Keep this text as the newest version: 201 when it is another one than before, else 200."""
        for part, value in (("domain", domain), ("name", name)):
            if not is_name(value):
                raise InvalidError(
                    "", f"{part} {value[:40]!r} is no script's: letters, digits, dot, underscore, hyphen"
                )
        size = len(text.encode())
        if not text or size > MAX_SCRIPT_BYTES or "\0" in text:
            raise InvalidError("", f"a script has 1 to {MAX_SCRIPT_BYTES} bytes of text, none of them NUL")
        record = ScriptRecord(domain, name, digest(text), size, caller.user, epoch_ms(self._wall))
        new = await self._library.keep(caller.company, record, text)
        self.log.warn(
            "audit: user {user} puts script {domain}/{name}, {sha}",
            user=caller.user,
            domain=domain,
            name=name,
            sha=record.sha256,
        )
        return Answer(ScriptSummary(*_summary(record)), 201 if new else 200, (("location", _href(domain, name)),))

    @endpoint("GET", "/api/v1/scripts/<domain>/<name>", needs=Permission.READ, returns=ScriptDetail)
    async def show(self, caller: Caller, domain: str, name: str) -> ScriptDetail:
        """One script with its text."""
        company = caller.company
        record = await self._library.record(company, _known(domain), _known(name))
        versions = await self._library.versions(company, domain, name)
        text = await self._library.text(company, domain, name, record.sha256)
        return ScriptDetail(*_summary(record), versions, text)

    @endpoint("DELETE", "/api/v1/scripts/<domain>/<name>", needs=Permission.EXECUTE, returns=ScriptPage)
    async def remove(self, caller: Caller, domain: str, name: str) -> ScriptPage:
        """Remove it with all its versions; what is left."""
        await self._library.remove(caller.company, _known(domain), _known(name))
        self.log.warn("audit: user {user} removes script {domain}/{name}", user=caller.user, domain=domain, name=name)
        return await self.list_all(caller)


def _known(part: str) -> str:
    if not is_name(part):
        raise NotFoundError("this script does not exist")
    return part


def _href(domain: str, name: str) -> str:
    return f"/api/v1/scripts/{domain}/{name}"


def _summary(record: ScriptRecord) -> tuple[str, str, str, str, int, str, str]:
    href = _href(record.domain, record.name)
    return record.domain, record.name, href, record.sha256, record.size, record.user, iso(record.created)
