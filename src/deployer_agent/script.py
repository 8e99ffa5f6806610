"""For scripts that an agent runs: say something on a level, give a result, count something (seed 001).

    from deployer_agent.script import data, log, result, stat

    log(5, "beginning")
    stat("files", 3)
    result({"asked": data()})

Standard library only, so that it works in any interpreter.
"""

import json
import sys
from typing import Any

LOG = 5
WARNING = 7
CRITICAL = 9
STATSD = 10
RESULT_JSON = 20


def log(level: int, text: str) -> None:
    """Say a text, of one line or several, on a level (3 public to 9 critical)."""
    if "\n" in text or text == ":::":
        body = "\n".join(f" {line}" if line == ":::" else line for line in text.split("\n"))
        sys.stdout.write(f"{level}:::\n{body}\n:::\n")
    else:
        sys.stdout.write(f"{level}::{text}\n")
    sys.stdout.flush()


def result(value: Any) -> None:
    """Give the job's result; the last one counts."""
    log(RESULT_JSON, json.dumps(value, ensure_ascii=False))


def stat(key: str, value: float, kind: str = "c") -> None:
    """Count (`c`), set (`g`), time in ms (`ms`) or count distinct values (`s`) under a key."""
    log(STATSD, f"{key}:{value}|{kind}")


def data() -> Any:
    """Return what the job was given: the value of its JSON, else its text; None when there is none."""
    text = sys.stdin.read()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
