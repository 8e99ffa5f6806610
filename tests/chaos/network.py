"""Network namespaces without names: an agent has its own, joined to ours by a wire that can be cut in each direction.

Our own is a new one too (`python -m chaos` enters it first), so that all ports and addresses are free. What is lost
is sent to a hardware address that nobody has: it vanishes silently, as behind a broken switch.
"""

import subprocess
from pathlib import Path
from typing import Final

from support.wait import until

NOWHERE: Final = "02:00:00:00:00:ff"


class Wire:
    """The wire to one agent: `here` is our address on it, `there` the agent's."""

    def __init__(self, number: int) -> None:
        self.here, self.there = f"10.77.{number}.1", f"10.77.{number}.2"
        self._ours, self._theirs = f"to{number}", f"from{number}"
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        until(self._is_apart, what="a network namespace")
        self.prefix = ["nsenter", f"--target={self._holder.pid}", "--net"]
        run("ip", "link", "add", self._ours, "type", "veth", "peer", self._theirs, "netns", str(self._holder.pid))
        run("ip", "address", "add", f"{self.here}/30", "dev", self._ours)
        run("ip", "link", "set", self._ours, "up")
        self._inside("ip", "address", "add", f"{self.there}/30", "dev", self._theirs)
        self._inside("ip", "link", "set", "lo", "up")
        self._inside("ip", "link", "set", self._theirs, "up")

    def lose(self, *, out: bool, back: bool) -> None:
        """Lose what the agent sends (`out`), what it is sent (`back`), or both."""
        if out:
            self._inside("ip", "neighbour", "replace", self.here, "lladdr", NOWHERE, "dev", self._theirs)
        if back:
            run("ip", "neighbour", "replace", self.there, "lladdr", NOWHERE, "dev", self._ours)

    def heal(self) -> None:
        """Lose nothing more."""
        self._inside("ip", "neighbour", "flush", "dev", self._theirs, "nud", "permanent")
        run("ip", "neighbour", "flush", "dev", self._ours, "nud", "permanent")

    def reset(self) -> None:
        """End all connections of the agent, on both sides, by a reset."""
        run("ss", "--kill", "--tcp", "dst", self.there)

    def reaches(self, port: int) -> bool:
        """Whether a program beside the agent can connect to us within a second."""
        line = f"exec 3<>/dev/tcp/{self.here}/{port}"
        return not subprocess.run(
            ["timeout", "1", *self.prefix, "bash", "-c", line], capture_output=True, check=False
        ).returncode

    def caller(self, port: int) -> "subprocess.Popen[bytes]":
        """A program beside the agent that is connected to us, says so, and ends when the connection does."""
        line = f"exec 3<>/dev/tcp/{self.here}/{port}; echo up; cat <&3"
        process = subprocess.Popen([*self.prefix, "bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    def close(self) -> None:
        """Give it all back: the namespace ends with its last process."""
        self._holder.kill()
        self._holder.wait()

    def _is_apart(self) -> bool:
        return Path(f"/proc/{self._holder.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()

    def _inside(self, *words: str) -> None:
        run(*self.prefix, *words)


def run(*words: str) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
