"""The built wheel, installed into an empty place, has what users call."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = ["--here"] if find_spec("setuptools") and find_spec("wheel") else []
    build = [sys.executable, str(ROOT / "tools" / "wheel.py"), str(tmp_path_factory.mktemp("dist")), *here]
    done = subprocess.run(build, check=True, capture_output=True, text=True, cwd=tmp_path_factory.mktemp("cwd"))
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


def python(installed: Path, *args: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["PYTHONPATH"] = str(installed)
    done = subprocess.run(
        [sys.executable, *args], env=env, cwd=installed, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_the_installed_wheel_lists_both_programs_in_twistds_help(installed: Path) -> None:
    twistd = "from twisted.scripts.twistd import run; run()"
    lines = python(installed, "-c", twistd, "--help").splitlines()
    names = {line.split()[0] for line in lines if line.strip()}
    assert {"deployer-master", "deployer-agent"} <= names


@pytest.mark.parametrize("program", ["deployer-master", "deployer-agent"])
def test_the_installed_wheel_refuses_failpoints(installed: Path, program: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(installed), "DEPLOYER_FAILPOINTS": "submit_begun=crash"}
    code = "from twisted.scripts.twistd import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "-n", "--pidfile=", program, "--check"],
        env=env,
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "for tests in a source checkout only" in done.stdout + done.stderr


def test_the_installed_wheel_has_the_command_line(installed: Path) -> None:
    code = "from deployer.cli.main import main; main(['--help'], prog_name='deployer')"
    assert "Run a command on hosts" in python(installed, "-c", code)
    scripts = {path.name for path in (installed / "bin").iterdir()}
    assert {"deployer", "deployer-master", "deployer-agent"} <= scripts


def test_the_wheel_has_every_module_and_script_of_the_sources_and_no_tests(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    for kind in ("*.py", "*.lua", "py.typed"):
        for path in (ROOT / "src").rglob(kind):
            assert path.relative_to(ROOT / "src").as_posix() in names
    assert "twisted/plugins/deployer_plugins.py" in names
    assert not [name for name in names if name.startswith(("tests", "twisted/__init__", "twisted/plugins/__init__"))]
