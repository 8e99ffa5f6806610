"""What it costs to receive: syslog beside rsyslog and syslog-ng, statsd beside node statsd, points beside carbon-cache.

Run by hand: `python bench/receivers.py`. Each program gets the same datagrams of the same sender at the same rate; what
is not installed is left out. Where they are: RSYSLOGD, SYSLOG_NG, STATSD_JS, CARBON_CACHE in the environment, else on
PATH.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil

import ingest
from support.programs import Fleet, fleet
from support.wait import until

SYSLOG_RATE, STATSD_RATE, SECONDS = 20_000, 10_000, 5.0
SERIES, ROUNDS = 1000, 20
KINDS = {"syslog": (ingest.SYSLOG, SYSLOG_RATE, 1), "statsd": (ingest.STATSD, STATSD_RATE, 10)}

RSYSLOG = """
module(load="imudp")
input(type="imudp" port="{port}" address="127.0.0.1" rcvbufSize="4m")
action(type="omfile" file="{folder}/out")
"""
SYSLOG_NG = """@version: 3.38
options {{ stats-freq(0); }};
source s {{ udp(ip(127.0.0.1) port({port}) so-rcvbuf(4194304)); }};
destination d {{ file("{folder}/out"); }};
log {{ source(s); destination(d); }};
"""
STATSD = """{{ port: {port}, mgmt_port: {mgmt}, address: "127.0.0.1", mgmt_address: "127.0.0.1", backends: [],
flushInterval: 3600000, repeaterProtocol: "udp4" }}"""
CARBON = """[cache]
STORAGE_DIR = {folder}
CONF_DIR = {folder}
LOG_DIR = {folder}
PID_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper
MAX_CACHE_SIZE = inf
MAX_UPDATES_PER_SECOND = inf
MAX_CREATES_PER_MINUTE = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {port}
PICKLE_RECEIVER_PORT = 0
CACHE_QUERY_PORT = 0
ENABLE_LOGROTATION = False
"""
SCHEMAS = "[all]\npattern = .*\nretentions = 30s:1d,5m:14d,1h:1y\n"


def find(variable: str, *names: str) -> str | None:
    """Where a program is."""
    given = os.environ.get(variable)
    return given or next((found for name in names if (found := shutil.which(name))), None)


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with closing(socket.socket(socket.AF_INET, kind)) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(*command: str, **environment: str) -> Iterator[psutil.Process]:
    """A program, until the end of the block."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def loaded(name: str, process: psutil.Process, port: int, kind: str, count: Callable[[], int]) -> None:
    """Send, wait until no more comes, and say what it cost."""
    data, rate, things = KINDS[kind]
    until(lambda: is_bound(port), what=f"{name} to listen")
    before, had = ingest.cpu(process), count()
    sent = ingest.send(data, port, rate, SECONDS) * things
    last, quiet = -1, 0
    while quiet < 5:  # the last of it may lie in a buffer
        time.sleep(0.3)  # noqa: TID251 (a look now and then)
        now = count()
        quiet, last = (quiet + 1, now) if now == last else (0, now)
    kept = last - had
    each = (ingest.cpu(process) - before) / max(1, kept) * 1e6
    print(
        f"  {name}: {sent:,} sent at {rate * things:,} a second, {kept:,} kept, {each:.1f} us of CPU each", flush=True
    )


def is_bound(port: int) -> bool:
    return f":{port:04X} " in Path("/proc/net/udp").read_text("ascii")


def lines_of(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def rsyslog(folder: Path) -> None:
    program, port = find("RSYSLOGD", "rsyslogd"), free_port()
    if program is None:
        print("  rsyslog: not installed")
        return
    (folder / "rsyslog.conf").write_text(RSYSLOG.format(port=port, folder=folder))
    modules = Path(program).parents[1] / "lib" / "x86_64-linux-gnu" / "rsyslog"
    with running(
        program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid"), "-M", str(modules)
    ) as one:
        loaded("rsyslog", one, port, "syslog", lambda: lines_of(folder / "out"))


def syslog_ng(folder: Path) -> None:
    program, port = find("SYSLOG_NG", "syslog-ng"), free_port()
    if program is None:
        print("  syslog-ng: not installed")
        return
    (folder / "ng.conf").write_text(SYSLOG_NG.format(port=port, folder=folder))
    root = Path(program).parents[1] / "lib"
    modules = next(iter(root.rglob("syslog-ng")), root)
    files = [f"--{name}={folder / name}" for name in ("persist-file", "pidfile", "control")]
    options = ["-F", "--no-caps", "--no-module-discovery", f"--module-path={_modules(modules)}"]
    libraries = f"{root / 'x86_64-linux-gnu'}:{root / 'syslog-ng'}"
    with running(program, "-f", str(folder / "ng.conf"), *files, *options, LD_LIBRARY_PATH=libraries) as one:
        loaded("syslog-ng", one, port, "syslog", lambda: lines_of(folder / "out"))


def _modules(folder: Path) -> Path:
    return next((one.parent for one in folder.rglob("libafsocket.so")), folder)


def statsd(folder: Path) -> None:
    program, node, port, mgmt = find("STATSD_JS"), find("NODE", "node"), free_port(), free_port(socket.SOCK_STREAM)
    if program is None or node is None:
        print("  node statsd: not installed")
        return
    (folder / "statsd.js").write_text(STATSD.format(port=port, mgmt=mgmt))

    def count() -> int:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", mgmt), 10)) as one:
            one.sendall(b"counters\n")
            text = b""
            while b"END" not in text:
                text += one.recv(65536)
            found = [line for line in text.decode().splitlines() if "metrics_received" in line]
            return int(found[0].split(":")[1].strip(" ,}")) if found else 0
        return 0

    with running(node, program, str(folder / "statsd.js")) as one:
        loaded("node statsd", one, port, "statsd", count)


def carbon(folder: Path) -> None:
    program, port = find("CARBON_CACHE", "carbon-cache"), free_port(socket.SOCK_STREAM)
    if program is None:
        print("  carbon-cache: not installed")
        return
    (folder / "carbon.conf").write_text(CARBON.format(port=port, folder=folder))
    (folder / "storage-schemas.conf").write_text(SCHEMAS)
    with running("/usr/bin/python3", program, f"--config={folder / 'carbon.conf'}", "--nodaemon", "start") as one:
        until(lambda: connects(port), what="carbon to listen")
        points("carbon-cache", one, port, folder / "whisper")


def connects(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


def points(name: str, process: psutil.Process, port: int, files: Path) -> None:
    """So many series, so often: the time until the last value of the last one is in its file."""
    now = int(time.time()) // 30 * 30
    first = b"".join(b"bench.s%d 1 %d\n" % (number, now) for number in range(SERIES))
    rest = b"".join(
        b"bench.s%d %d %d\n" % (number, turn, now - 30 * turn) for turn in range(1, ROUNDS) for number in range(SERIES)
    )
    with closing(socket.create_connection(("127.0.0.1", port))) as one:
        one.sendall(first)
        until(lambda: len(list(files.rglob("bench/s*.wsp"))) == SERIES, what="the files", deadline_s=120)
        before, begin = ingest.cpu(process), time.monotonic()
        one.sendall(rest)
        until(lambda: all_there(files, now), what="the last points", deadline_s=120, every_s=0.25)
        took, spent = time.monotonic() - begin, ingest.cpu(process) - before
    count = SERIES * (ROUNDS - 1)
    cost = f"{spent / count * 1e6:.0f} us of CPU each"
    print(f"  {name}: {count:,} points of {SERIES} series in {took:.1f} s, {cost}", flush=True)


def all_there(files: Path, now: int) -> bool:
    import whisper  # type: ignore[import-untyped]  # noqa: PLC0415 (reads what both write)

    for file in files.rglob("bench/s*.wsp"):
        _, values = whisper.fetch(str(file), now - 30 * ROUNDS, now)
        if sum(value is not None for value in values) < ROUNDS - 1:
            return False
    return True


def ours(made: Fleet, folder: Path) -> dict[str, int]:
    config = folder / "master.toml"
    config.write_text("ingest_per_source = 1000000\n")
    port = free_port(socket.SOCK_STREAM)
    made.start_master("--syslog=udp:0", "--statsd=udp:0", f"--graphite=tcp:{port}", f"--config={config}")
    lines = [line for line in made.master.text().splitlines() if "listens at udp" in line]
    return {**{line.split(" listens")[0].split()[-1]: int(line.rpartition(":")[2]) for line in lines}, "graphite": port}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, fleet(Path(name)) as made:
        ports = ours(made, Path(name))
        master = psutil.Process(made.master.pid)
        loaded("deployer", master, ports["syslog"], "syslog", lambda: ingest.counts(made, "syslog")["stored"])
        loaded("deployer", master, ports["statsd"], "statsd", lambda: ingest.counts(made, "statsd")["samples"])
        points("deployer", master, ports["graphite"], made.data / "metrics")
    for case in (rsyslog, syslog_ng, statsd, carbon):
        with tempfile.TemporaryDirectory() as name:
            case(Path(name))


if __name__ == "__main__":
    main()
