from deployer.stores import keys
from deployer.stores.logs import Logs, Said
from support.seeded import COMPANY, Seeded


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
