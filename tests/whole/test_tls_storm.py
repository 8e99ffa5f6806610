"""Three hundred connections at once, half of which die in the handshake (RELIABILITY A6, small)."""

import asyncio
import contextlib
import socket
import ssl
import struct
from pathlib import Path

from support.secure import Secure
from support.simulated import LOST, SimulatedAgent, ended, gathered

AGENTS = 150
DEADLINE_S = 60.0


def hello() -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def die(number: int, port: int) -> None:
    """Begin a handshake again and again, and leave in its midst: with a reset, or without a word."""
    whole = hello()
    for part in (0, 1, 5, len(whole) // 2, len(whole)):
        with contextlib.suppress(*LOST):
            source = (f"127.2.0.{number % 250 + 1}", 0)
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
            writer.write(whole[:part])
            await writer.drain()
            if number % 2:
                own = writer.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            await writer.wait_closed()


async def scene(secure: Secure) -> float:
    port = int(secure.port)
    tls = ssl.create_default_context(cafile=secure.data / "tls" / "ca.pem")
    join = (secure.data / "join-token").read_text().strip()
    agents = [SimulatedAgent(number, port, tls=tls) for number in range(1, AGENTS + 1)]
    await gathered((agent.join(join) for agent in agents), 20)
    for agent in agents:
        agent.leave()
    loop = asyncio.get_running_loop()
    began = loop.time()
    dying = [asyncio.ensure_future(die(number, port)) for number in range(AGENTS)]
    lives = [asyncio.ensure_future(agent.live()) for agent in agents]
    try:
        while not all(agent.is_back for agent in agents):
            assert loop.time() - began < DEADLINE_S, f"{sum(not agent.is_back for agent in agents)} are not back"
            assert (await asyncio.to_thread(secure.ask, "GET", "/api/v1/agents?limit=1"))["items"]
            await asyncio.sleep(0.1)
        return loop.time() - began
    finally:
        await ended(lives)
        await asyncio.gather(*dying)


def test_all_agents_come_back_through_a_storm_of_broken_handshakes(tmp_path: Path) -> None:
    secure = Secure(tmp_path)
    try:
        assert asyncio.run(scene(secure)) < DEADLINE_S
        assert len([state for state in secure.states().values() if state == "online"]) == 100  # a page
        assert "Traceback" not in secure.master.text()
    finally:
        secure.stop()
