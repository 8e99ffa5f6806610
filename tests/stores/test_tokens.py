from pathlib import Path

import pytest
from msgspec.structs import replace

from deployer.errors import StartError
from deployer.kit.files import write_private
from deployer.model.access import Role
from deployer.stores import keys
from deployer.stores.companies import Companies
from deployer.stores.first_start import ensure_installation, new_admin_token
from deployer.stores.master_key import MasterKey
from deployer.stores.redis import Redis
from deployer.stores.tokens import JOIN, USER, Token, Tokens
from deployer.stores.users import User, Users
from support.seeded import COMPANY, Seeded


@pytest.mark.parametrize("text", ["", "dpl__", "dpl_" + "0" * 16 + "_" + "g" * 64, "x" * 10_000, "dpl_é", "\x00"])
def test_what_is_no_token_is_nothing(text: str) -> None:
    assert Token.parse(text) is None


async def test_a_token_is_its_users_and_no_other(seeded: Seeded) -> None:
    tokens = Tokens(seeded.redis)
    parsed = Token.parse(seeded.admin.text)
    assert parsed is not None
    caller = await tokens.caller(parsed)
    assert caller is not None
    assert (caller.company, caller.user, caller.role) == (COMPANY, "admin", Role.ADMIN)
    assert await tokens.caller(Token(USER, parsed.kid, "0" * 64)) is None
    assert await tokens.caller(Token(USER, "0" * 16, parsed.secret)) is None
    assert await tokens.caller(Token(JOIN, parsed.kid, parsed.secret)) is None
    assert not await tokens.may_join(parsed)
    assert await tokens.may_join(seeded.join_token)


async def test_no_token_is_found_in_redis_in_plain_text(seeded: Seeded) -> None:
    kept = b""
    for key in await seeded.redis.call("KEYS", "*"):
        if await seeded.redis.call("TYPE", key) == b"hash":
            kept += b"".join(await seeded.redis.call("HGETALL", key))
    for token in (seeded.admin, seeded.join_token):
        assert token.secret.encode() not in kept
        assert token.sha.encode() in kept


async def test_the_first_start_makes_an_installation_and_the_second_finds_it(redis: Redis, tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "master.key")
    made = await ensure_installation(redis, key, tmp_path, lambda: 1.0)
    for name in ("admin-token", "join-token"):
        path = tmp_path / name
        assert path.stat().st_mode & 0o777 == 0o600
        path.unlink()
    assert await ensure_installation(redis, MasterKey.load(tmp_path / "master.key"), tmp_path, lambda: 2.0) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["master.key"]


async def test_a_master_with_another_key_is_refused(redis: Redis, tmp_path: Path) -> None:
    await ensure_installation(redis, MasterKey.load_or_make(tmp_path / "a"), tmp_path, lambda: 1.0)
    with pytest.raises(StartError, match="another masters' key"):
        await ensure_installation(redis, MasterKey.load_or_make(tmp_path / "b"), tmp_path, lambda: 1.0)


async def test_who_has_the_masters_key_can_make_another_admin_token(redis: Redis, tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "a")
    with pytest.raises(StartError, match="no installation"):
        await new_admin_token(redis, key, tmp_path)
    installation = await ensure_installation(redis, key, tmp_path, lambda: 1.0)
    token = Token.parse((await new_admin_token(redis, key, tmp_path)).read_text().strip())
    assert token is not None
    caller = await Tokens(redis).caller(token)
    assert caller is not None
    assert (caller.company, caller.role) == (installation.company, Role.ADMIN)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_key_file_that_is_none_stops_the_start_with_one_line(tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / "key", content)
    with pytest.raises(StartError) as caught:
        MasterKey.load(tmp_path / "key")
    assert "\n" not in str(caught.value)


def test_a_key_that_others_can_read_or_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    MasterKey.load_or_make(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    for name in ("key", "none"):
        with pytest.raises(StartError):
            MasterKey.load(tmp_path / name)


def test_secrets_differ_by_purpose_and_are_the_same_for_all_masters(tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "key")
    again = MasterKey.load(tmp_path / "key")
    assert key.secret("a") == again.secret("a") != key.secret("b")
    assert keys.token("x") != keys.join_token("x")


async def test_an_older_installation_gets_users_for_its_tokens(redis: Redis, tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "a")
    installation = await ensure_installation(redis, key, tmp_path, lambda: 1.0)
    company, tokens = installation.company, Tokens(redis)
    low, high = Token.new(USER), Token.new(USER)
    await tokens.add_user_token(low, company, "old.Name@x", Role.VIEWER)
    await tokens.add_user_token(high, company, "old.Name@x", Role.OPERATOR)
    names = ("admin", "old.Name@x")
    users, owners = keys.users(company), f"{keys.prefix(company)}owners"
    await redis.call("DEL", keys.COMPANY_NAMES, users, owners, *(keys.user(company, name) for name in names))
    await redis.call("HDEL", keys.company(company), "version")
    broken = Token.new(USER)
    await tokens.add_user_token(broken, company, "broken", Role.OWNER)
    await redis.call("HSET", keys.token(broken.kid), "role", "god")
    await redis.call("DEL", keys.user(company, "broken"), users, owners)
    await redis.call("HSET", keys.INSTALLATION, "schema", "1")
    assert await tokens.caller(high) is None
    for _ in range(2):
        assert await ensure_installation(redis, key, tmp_path, lambda: 2.0) == installation
    found = await Users(redis).users(company, None, 9)
    assert [(one.name, one.role) for one in found] == [("admin", Role.ADMIN), ("old.Name@x", Role.OPERATOR)]
    assert await Companies(redis).named("default") == company
    for token, role in ((low, Role.VIEWER), (high, Role.OPERATOR)):
        caller = await tokens.caller(token)
        assert caller is not None
        assert caller.role is role


async def test_who_has_the_masters_key_opens_the_admin_again(redis: Redis, tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "a")
    company = (await ensure_installation(redis, key, tmp_path, lambda: 1.0)).company
    users = Users(redis)
    await users.make(User(company=company, name="boss", id="1", role=Role.OWNER))
    admin = await users.user(company, "admin")
    await users.change(admin, replace(admin, role=Role.VIEWER, disabled=True))
    token = Token.parse((await new_admin_token(redis, key, tmp_path)).read_text().strip())
    assert token is not None
    caller = await Tokens(redis).caller(token)
    assert caller is not None
    assert caller.role is Role.ADMIN


async def test_a_user_whose_record_is_damaged_gets_in_nowhere(seeded: Seeded) -> None:
    for field, value in (("role", "god"), ("agents", "x"), ("agents", '["x"]'), ("created", "x")):
        known = await seeded.redis.call("HGET", keys.user(COMPANY, "admin"), field)
        await seeded.redis.call("HSET", keys.user(COMPANY, "admin"), field, value)
        assert await Tokens(seeded.redis).caller(seeded.admin) is None
        await seeded.redis.call("HSET", keys.user(COMPANY, "admin"), field, known)
    assert await Tokens(seeded.redis).caller(seeded.admin) is not None
    await seeded.redis.call("SET", keys.user(COMPANY, "admin"), "x")
    assert await Tokens(seeded.redis).caller(seeded.admin) is None
