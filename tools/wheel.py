"""Build the wheel of this checkout into a directory and print its path.

It is built from a copy: setuptools leaves `build/lib` in the sources and would put modules into the wheel that have
been deleted since. With `--here` the setuptools of this Python build it, else pip fetches those of pyproject.toml.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("src", "twisted", "setup.cfg", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
LITTER = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache")


def copy(to: Path) -> None:
    """Copy what the wheel is made of."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=LITTER)
        elif source.exists():
            shutil.copy2(source, to / name)


def build(out: Path, *options: str) -> Path:
    """Build; the path of the wheel."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("deployer-*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as place:
        copy(Path(place))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, *options, "-w", str(out), place], check=True)  # noqa: S603 (pip on our own sources)
    (wheel,) = out.glob("deployer-*.whl")
    return wheel


if __name__ == "__main__":
    flags = ["--no-build-isolation"] if "--here" in sys.argv else []
    sys.stdout.write(f"{build(Path(sys.argv[1]).resolve(), *flags)}\n")
