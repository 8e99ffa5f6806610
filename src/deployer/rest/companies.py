"""Companies: the tenants of an installation. Its admin sees and makes all, everybody else sees the own one."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct
from twisted.logger import Logger

from deployer.errors import MalformedError, NotFoundError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.model.access import Caller, Permission
from deployer.protocol.ids import GridId, new_id
from deployer.protocol.times import iso
from deployer.rest.answers import Answer
from deployer.rest.conditional import Match, etag
from deployer.rest.endpoint import endpoint
from deployer.rest.paging import PageQuery
from deployer.rest.references import company_href
from deployer.stores.companies import Companies, Company

CompanyName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}\Z")]
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class CompanyRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company, and what can be changed of it."""

    name: CompanyName


class GridRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more grid: of this number, or of the next that is free."""

    gid: GridId | None = None


class GridReference(Struct, frozen=True):
    """A grid, which belongs to one company."""

    gid: int


class ListReference(Struct, frozen=True):
    """How many there are, and where. Nulls: the caller's requests do not act there, or it may use some of them only."""

    href: str | None
    count: int | None


class CompanyAnswer(Struct, frozen=True, kw_only=True):
    """A company as clients see it."""

    id: str
    href: str
    name: str
    created: str
    users: ListReference
    agents: ListReference
    grids: list[GridReference]


class CompanyPage(Struct, frozen=True):
    """Some companies, and where the next ones begin."""

    items: list[CompanyAnswer]
    next: str | None


class CompanyRemoved(Struct, frozen=True):
    """It is gone, with its users and tokens."""

    id: str


class CompanyRoutes:
    """`/api/v1/companies`."""

    log = Logger()

    def __init__(self, companies: Companies, wall: WallClock) -> None:
        self._companies = companies
        self._wall = wall

    @endpoint("GET", "/api/v1/companies", needs=Permission.READ, returns=CompanyPage, query=PageQuery)
    async def list_all(self, caller: Caller, query: PageQuery) -> CompanyPage:
        """The companies that the caller may see, by id."""
        if query.cursor is not None and _ID.fullmatch(query.cursor) is None:
            raise MalformedError("this cursor was not made here")
        own = [caller.company] if query.cursor is None or caller.company > query.cursor else []
        is_admin = caller.may(Permission.ADMIN)
        ids = await self._companies.ids(query.cursor, query.limit + 1) if is_admin else own
        found = await self._companies.companies(ids[: query.limit])
        items = [_answer(caller, one) for one in found if one is not None]
        return CompanyPage(items, ids[query.limit - 1] if len(ids) > query.limit else None)

    @endpoint(
        "POST",
        "/api/v1/companies",
        needs=Permission.ADMIN,
        returns=CompanyAnswer,
        body=CompanyRequest,
        statuses=(201,),
    )
    async def make(self, caller: Caller, body: CompanyRequest) -> Answer:
        """Make a company with one grid. Its first user is made with `?company=` at the users."""
        company = new_id(self._wall())
        await self._companies.make(company, body.name, epoch_ms(self._wall))
        gid = await self._companies.add_grid(company, None)
        self._tell(caller, f"makes company {body.name} with grid {gid}", company)
        made = await self._companies.company(company)
        return _shown(caller, made, 201)

    @endpoint("GET", "/api/v1/companies/<company>", needs=Permission.READ, returns=CompanyAnswer)
    async def show(self, caller: Caller, company: str) -> Answer:
        """One company."""
        return _shown(caller, await self._companies.company(seen(caller, company)))

    @endpoint(
        "PATCH",
        "/api/v1/companies/<company>",
        needs=Permission.MANAGE,
        returns=CompanyAnswer,
        body=CompanyRequest,
        conditional=True,
    )
    async def change(self, caller: Caller, company: str, body: CompanyRequest, match: Match) -> Answer:
        """Give it another name."""
        known = await self._companies.company(seen(caller, company))
        match.require(known.version)
        await self._companies.rename(known, body.name)
        self._tell(caller, f"names the company {body.name}", known.id)
        return _shown(caller, await self._companies.company(known.id))

    @endpoint(
        "DELETE",
        "/api/v1/companies/<company>",
        needs=Permission.ADMIN,
        returns=CompanyRemoved,
        conditional=True,
    )
    async def remove(self, caller: Caller, company: str, match: Match) -> CompanyRemoved:
        """Remove an empty company, without agents and open jobs, with its users and tokens."""
        known = await self._companies.company(seen(caller, company))
        match.require(known.version)
        await self._companies.remove(known)
        self._tell(caller, f"removes company {known.name}", known.id)
        return CompanyRemoved(known.id)

    @endpoint(
        "POST",
        "/api/v1/companies/<company>/grids",
        needs=Permission.ADMIN,
        returns=GridReference,
        body=GridRequest,
        statuses=(201,),
    )
    async def add_grid(self, caller: Caller, company: str, body: GridRequest) -> Answer:
        """One more grid for a company."""
        known = await self._companies.company(seen(caller, company))
        gid = await self._companies.add_grid(known.id, body.gid)
        self._tell(caller, f"adds grid {gid}", known.id)
        return Answer(GridReference(gid), 201)

    def _tell(self, caller: Caller, does: str, company: str) -> None:
        self.log.warn("audit: user {user} {does}, {company}", user=caller.user, does=does, company=company)


def seen(caller: Caller, company: str) -> str:
    """The id in a path or query, if the caller may see it; NotFoundError as for one that does not exist."""
    if company == caller.company or (caller.may(Permission.ADMIN) and _ID.fullmatch(company)):
        return company
    raise NotFoundError("this company does not exist")


def _shown(caller: Caller, company: Company, status: int = 200) -> Answer:
    location = [("location", company_href(company.id))] if status == 201 else []  # noqa: PLR2004 (Created)
    return Answer(_answer(caller, company), status, (etag(company.version), *location))


def _answer(caller: Caller, company: Company) -> CompanyAnswer:
    own = company.id == caller.company
    return CompanyAnswer(
        id=company.id,
        href=company_href(company.id),
        name=company.name,
        created=iso(company.created),
        users=ListReference("/api/v1/users" if own else f"/api/v1/users?company={company.id}", company.users),
        agents=ListReference("/api/v1/agents" if own else None, None if caller.agents is not None else company.agents),
        grids=[GridReference(gid) for gid in company.grids],
    )
