"""Who may do what: roles and the permissions they carry, and the agents that a user may use."""

from enum import Enum, auto
from typing import Final

from msgspec import Struct

from deployer.protocol.ids import AgentId


class Permission(Enum):
    """What an endpoint needs. PUBLIC needs no token."""

    PUBLIC = auto()
    READ = auto()
    EXECUTE = auto()
    SHELL = auto()
    MANAGE = auto()
    ADMIN = auto()


class Role(Enum):
    """What a user is within its company; `admin` is so in the whole installation."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    OWNER = "owner"
    ADMIN = "admin"

    def may(self, permission: Permission) -> bool:
        """Tell whether this role carries the permission."""
        return permission is Permission.PUBLIC or permission in GRANTS[self]


GRANTS: Final = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.EXECUTE}),
    Role.OWNER: frozenset({Permission.READ, Permission.EXECUTE, Permission.SHELL, Permission.MANAGE}),
    Role.ADMIN: frozenset({Permission.READ, Permission.EXECUTE, Permission.SHELL, Permission.MANAGE, Permission.ADMIN}),
}

AgentSet = frozenset[AgentId] | None
"""Agents that somebody may use; None for all of the company."""


def lesser(one: Role, other: Role) -> Role:
    """The role that has fewer rights of the two."""
    return one if GRANTS[one] <= GRANTS[other] else other


class Caller(Struct, frozen=True):
    """Whoever sent a request, after its token or session was looked up.

    `token` is the token's public id, for the audit log; empty in a session, whose digest is `session`. An agent that is
    not among `agents` does not exist for this caller.
    """

    user: str
    company: str
    role: Role
    token: str
    agents: AgentSet = None
    session: str = ""

    def may_give(self, role: Role) -> bool:
        """Whether this caller may give somebody a role: none that has a right which the caller's own lacks."""
        return GRANTS[role] <= GRANTS[self.role]

    def may(self, permission: Permission) -> bool:
        """Tell whether this caller's role carries the permission."""
        return self.role.may(permission)

    def sees(self, agent: AgentId) -> bool:
        """Whether an agent of the company is there for this caller."""
        return self.agents is None or agent in self.agents

    def is_above(self, role: Role, agents: AgentSet) -> bool:
        """Whether somebody with this role and these agents has nothing that this caller lacks."""
        within = self.agents is None or (agents is not None and agents <= self.agents)
        return self.may_give(role) and within
