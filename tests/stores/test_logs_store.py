from deployer.model import retention
from deployer.stores import keys, scripts
from deployer.stores.agents import Entry
from deployer.stores.logs import Logs, Said
from support.seeded import COMPANY, Seeded


async def test_the_oldest_of_the_largest_stream_goes_until_the_company_is_within_its_bytes(seeded: Seeded) -> None:
    await seeded.submit("a")
    session = await seeded.session()
    await seeded.agents.claim(session, 1)
    await seeded.agents.accept(session, ["a"])
    for seq in range(1, 251):
        stream = "log.big.x" if seq % 10 else "log.small.x"
        await seeded.agents.log(session, "a" * 32, seq, [Entry("a", stream, 1, 10, b"x" * 100)])
    index = f"{keys.prefix(COMPANY)}logs"
    arguments = [index, "log.big.x"]
    assert await seeded.redis.run(scripts.TRIM_LOGS, arguments, [20_000]) == 10_000
    assert await seeded.redis.run(scripts.TRIM_LOGS, arguments, [20_000]) == 0
    assert await seeded.redis.call("XLEN", "log.big.x") == 125
    assert await seeded.redis.call("ZSCORE", index, "log.big.x") == b"12500"
    assert await Logs(seeded.redis).trim(COMPANY) == 0
    assert retention.LOG_BYTES_PER_COMPANY > 20_000


async def test_a_company_without_logs_has_nothing_to_trim(seeded: Seeded) -> None:
    assert await Logs(seeded.redis).trim("nobody") == 0


async def test_what_no_agent_has_sent_is_stored_beside_the_rest(seeded: Seeded) -> None:
    logs, prefix = Logs(seeded.redis), keys.prefix(COMPANY)
    await seeded.redis.call("SET", "log.taken.x", "by somebody")
    said = [Said("log.syslog.sshd", 2, b"[1,2]"), Said("log.taken.x", 3, b"[1]"), Said("log.syslog.sshd", 1, b"[3]")]
    assert await logs.append(COMPANY, said) == 3
    entries = await logs.entries("log.syslog.sshd", "-", "+", 10)
    assert [one.messages for one in entries] == [b"[1,2]", b"[3]"]
    assert await seeded.redis.call("ZSCORE", f"{prefix}logs", "log.syslog.sshd") == b"8"
    at = await seeded.redis.call("ZSCORE", f"{prefix}logs:at", "log.syslog.sshd")
    assert entries[-1].id.startswith(at.decode())
