"""A master behind TLS with its own CA, and agents of it, as real programs."""

import contextlib
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from support.programs import Program
from support.wait import until


class Secure:
    """A master behind TLS, and agents of it; it runs as soon as it is made."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.data = folder / "master"
        self.programs: list[Program] = []
        self.master = self.start(
            "deployer-master", "master", "--http=tcp:0:interface=127.0.0.1", "--auto-tls", *options
        )
        self.port = until(self._port, what="the master to listen")
        self.url = f"https://localhost:{self.port}"

    def start(self, program: str, name: str, *options: str) -> Program:
        """Start a program with a data directory of this name."""
        made = Program(program, self.folder / f"{name}.log", f"--data-dir={self.folder / name}", *options)
        made.start()
        self.programs.append(made)
        return made

    def agent(self, name: str, token: str, *options: str) -> Program:
        """Start an agent with this text in its token file."""
        file = self.folder / f"{name}.token"
        file.touch(mode=0o600)
        file.write_text(token)
        options = ("--gid=1", f"--join-token-file={file}", "--allow-root", *options)
        return self.start("deployer-agent", name, f"--url={self.url}", *options)

    def stop(self) -> None:
        """End all."""
        for program in reversed(self.programs):
            if program.process is not None and program.process.poll() is None:
                program.stop()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request as the admin; an HTTPError for what is refused."""
        headers = {"Authorization": f"Bearer {(self.data / 'admin-token').read_text().strip()}"}
        data = None if body is None else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 (our own master)
        context = ssl.create_default_context(cafile=self.data / "tls" / "ca.pem")
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:  # noqa: S310 (as above)
            return json.load(answer)

    def states(self) -> dict[str, str]:
        """Which agents there are."""
        with contextlib.suppress(urllib.error.HTTPError):
            return {one["id"]: one["state"] for one in self.ask("GET", "/api/v1/agents")["items"]}
        return {}

    def _port(self) -> str | None:
        assert self.master.process is not None
        assert self.master.process.poll() is None, self.master.text()[-3000:]
        found = [line for line in self.master.text().splitlines() if "the API listens at" in line]
        return found[-1].partition("port=")[2].rstrip(")") if found else None
