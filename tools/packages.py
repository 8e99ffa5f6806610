"""Install the Debian packages that the tests want, where that needs no password; else say which are missing.

Exits 0 either way: without them pytest skips what needs them and ends with the list.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def missing(names: list[str]) -> list[str]:
    """Those that dpkg does not know as installed; none where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return []
    asked = ["dpkg-query", "-W", "-f", "${Package} ${Status}\n", *names]
    known = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603 (names of ours)
    return [name for name in names if f"{name} install ok installed" not in known.splitlines()]


def rights() -> list[str] | None:
    """What to put before apt-get; None when we may not."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603 (asks only)
        return [sudo, "-n"]
    return None


def install(before: list[str], names: list[str]) -> bool:
    """Install; tell whether that went well."""
    apt = [*before, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]
    steps = ([*apt, "update"], [*apt, "install", "--no-install-recommends", *names])
    return all(subprocess.run(step, stdout=sys.stderr, check=False).returncode == 0 for step in steps)  # noqa: S603 (ours)


def main() -> None:
    """Do it for the packages listed in the file named on the command line."""
    names = missing(Path(sys.argv[1]).read_text(encoding="ascii").split())
    before = rights()
    if names and (before is None or shutil.which("apt-get") is None or not install(before, names)):
        sys.stderr.write(f"make: not installed, tests that need them are skipped: {' '.join(missing(names))}\n")


if __name__ == "__main__":
    main()
