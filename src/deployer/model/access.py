"""Who may do what: roles and the permissions they carry."""

from enum import Enum, auto
from typing import Final

from msgspec import Struct


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


GRANTS: Final = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.EXECUTE}),
    Role.OWNER: frozenset({Permission.READ, Permission.EXECUTE, Permission.SHELL, Permission.MANAGE}),
    Role.ADMIN: frozenset({Permission.READ, Permission.EXECUTE, Permission.SHELL, Permission.MANAGE, Permission.ADMIN}),
}


class Caller(Struct, frozen=True):
    """Whoever sent a request, after its token was looked up. `token` is the token's public id, for the audit log."""

    user: str
    company: str
    role: Role
    token: str

    def may_give(self, role: Role) -> bool:
        """Whether this caller may give somebody a role: none that has a right which the caller's own lacks."""
        return GRANTS[role] <= GRANTS[self.role]

    def may(self, permission: Permission) -> bool:
        """Tell whether this caller's role carries the permission."""
        return permission is Permission.PUBLIC or permission in GRANTS[self.role]
