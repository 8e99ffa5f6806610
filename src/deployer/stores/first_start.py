"""The first start of an installation: makes it, and leaves the two tokens in files (DESIGN 3)."""

from pathlib import Path
from typing import Final

from twisted.logger import Logger

from deployer.errors import StartError
from deployer.kit.clock import WallClock, epoch_ms
from deployer.kit.files import write_private
from deployer.model.access import Role
from deployer.protocol.ids import new_id
from deployer.stores.adoption import adopt
from deployer.stores.installation import Installation, Installations, Seed
from deployer.stores.master_key import MasterKey
from deployer.stores.redis import Redis
from deployer.stores.tokens import JOIN, USER, Token, Tokens

ADMIN_TOKEN: Final = "admin-token"  # noqa: S105 (a file's name)
JOIN_TOKEN: Final = "join-token"  # noqa: S105 (a file's name)
ADMIN_USER: Final = "admin"

log = Logger()


async def ensure_installation(
    redis: Redis, key: MasterKey, data_dir: Path, wall: WallClock, pin: str = ""
) -> Installation:
    """Find the installation in Redis, or make it. The files are written first: a token that no file has is lost.

    `pin`: the fingerprint of our CA, for the join token.
    """
    installations = Installations(redis)
    found = await installations.require_key(key.public)
    if found is not None:
        await adopt(redis, epoch_ms(wall))
        log.info("this Redis holds an installation: no token file is written")
        return found
    seed = Seed(new_id(wall()), key.public, Token.new(USER), ADMIN_USER, Token.new(JOIN))
    _write(data_dir / ADMIN_TOKEN, seed.admin.text)
    _write(data_dir / JOIN_TOKEN, seed.join.pinned(pin))
    if not await installations.make(seed, epoch_ms(wall)):
        for name in (ADMIN_TOKEN, JOIN_TOKEN):
            (data_dir / name).unlink(missing_ok=True)
    made = await installations.require_key(key.public)
    if made is None:
        raise StartError("Redis lost the installation that was just made: is another program emptying it?")
    return made


async def new_admin_token(redis: Redis, key: MasterKey, data_dir: Path) -> Path:
    """Make another admin token, for whoever has the masters' key; the file that holds it."""
    installation = await Installations(redis).require_key(key.public)
    if installation is None:
        raise StartError("there is no installation yet: start the master once")
    token = Token.new(USER)
    path = data_dir / ADMIN_TOKEN
    _write(path, token.text)
    await Tokens(redis).add_user_token(token, installation.company, ADMIN_USER, Role.ADMIN)
    return path


def _write(path: Path, text: str) -> None:
    write_private(path, f"{text}\n".encode())
