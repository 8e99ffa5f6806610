"""The Lua scripts, each with `common.lua` in front, read once from the package."""

from importlib.resources import files
from typing import Final

from deployer.stores.redis import Script


def _load(name: str) -> Script:
    folder = files("deployer.stores").joinpath("scripts")
    return Script.of(name, folder.joinpath("common.lua").read_bytes() + folder.joinpath(f"{name}.lua").read_bytes())


SUBMIT: Final = _load("submit")
SESSION: Final = _load("session")
CLAIM: Final = _load("claim")
CORRUPT: Final = _load("corrupt")
ACCEPT: Final = _load("accept")
RESULT: Final = _load("result")
KEEP_SCRIPT: Final = _load("keep_script")
RUN: Final = _load("run")
LOG: Final = _load("log")
POINTS: Final = _load("points")
FACTS: Final = _load("facts")
MONITOR: Final = _load("monitor")
DROP_MONITOR: Final = _load("drop_monitor")
WATCH: Final = _load("watch")
BREACH: Final = _load("breach")
SCHEDULE: Final = _load("schedule")
DROP_SCHEDULE: Final = _load("drop_schedule")
PLAN: Final = _load("plan")
TAKE: Final = _load("take")
FIRED: Final = _load("fired")
LET_GO: Final = _load("let_go")
PROCESSES: Final = _load("processes")
CANCEL: Final = _load("cancel")
EXPIRE: Final = _load("expire")
PRESENCE: Final = _load("presence")
RETIRE: Final = _load("retire")
TRIM_LOGS: Final = _load("trim_logs")
INSTALL: Final = _load("install")
JOIN: Final = _load("join")
WAIT: Final = _load("wait")
ADMIT: Final = _load("admit")
REVOKE: Final = _load("revoke")
ABANDON: Final = _load("abandon")
TRAITS: Final = _load("traits")
AUDIT: Final = _load("audit")
USED: Final = _load("used")
COMPANY: Final = _load("company")
RENAME_COMPANY: Final = _load("rename_company")
DROP_COMPANY: Final = _load("drop_company")
GRID: Final = _load("grid")
USER: Final = _load("user")
DROP_USER: Final = _load("drop_user")
TOKEN: Final = _load("token")
LOGIN: Final = _load("login")
PASSWORD: Final = _load("password")
