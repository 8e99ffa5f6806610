"""Tiny requests a second through the hardened site and through Twisted's own, on loopback, client and server apart.

Says what the limits cost: the ratio matters more than either number.
"""

import multiprocessing
import select
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from twisted.internet import epollreactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.site import HardenedSite

REQUESTS = 30_000
CONNECTIONS = 16
REQUEST = b"GET /api/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer dpl_1_x\r\nAccept: */*\r\n\r\n"


class Hello(Resource):
    """Answers two bytes."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:  # noqa: ARG002 (a resource is given it)
        """Answer."""
        return b"ok"


def plain(reactor: object) -> Site:  # noqa: ARG001 (the same signature as the other)
    """Twisted's own."""
    return Site(Hello())


def hardened(reactor: object) -> Site:
    """Ours."""
    return HardenedSite(Hello(), HttpLimits(), reactor)


def serve(make: Callable[[object], Site], tell: Connection) -> None:
    """Listen on a free port until terminated."""
    epollreactor.install()
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (a benchmark has no tap.py)

    port = reactor.listenTCP(0, make(reactor), interface="127.0.0.1")
    tell.send(port.getHost().port)
    reactor.run()


def ask(port: int) -> float:
    """Keep one request outstanding on each connection; requests a second."""
    clients = {one.fileno(): one for one in (socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS))}
    epoll = select.epoll()
    for number, client in clients.items():
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        epoll.register(number, select.EPOLLIN)
    start = time.perf_counter()
    for client in clients.values():
        client.sendall(REQUEST)
    done = 0
    while done < REQUESTS:
        for number, _ in epoll.poll():
            clients[number].recv(65536)
            clients[number].sendall(REQUEST)
            done += 1
    return done / (time.perf_counter() - start)


def measure(make: Callable[[object], Site]) -> float:
    """Serve in a process of its own and ask."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(make, theirs))
    server.start()
    try:
        return ask(ours.recv())
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    rates = {make.__name__: max(measure(make) for _ in range(3)) for make in (plain, hardened)}
    for name, rate in rates.items():
        print(f"{name:10} {rate:8.0f} requests/s")
    print(f"{'ratio':10} {rates['hardened'] / rates['plain']:8.2f}")
