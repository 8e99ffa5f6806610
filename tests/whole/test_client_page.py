"""The examples of docs/client.md are run as they stand, against a real master and agent: `# -> text` is printed."""

import re
import subprocess
import sys
from pathlib import Path

from support.programs import Fleet, environment

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs() -> dict[str, str]:
    """Of each section its examples, one after the other."""
    text = (ROOT / "docs" / "client.md").read_text()
    found = {title: "\n".join(BLOCK.findall(body)) for title, body in SECTION.findall(text)}
    return {title: code for title, code in found.items() if code}


def test_what_the_page_says_is_printed(running: Fleet) -> None:
    assert list(programs()) == ["The synchronous client", "The asynchronous client", "Through Redis"]
    for title, code in programs().items():
        wanted = [text.strip() for line in code.splitlines() for text in line.split("# -> ")[1:]]
        here = code.replace("/var/lib/deployer-master", str(running.data)).replace("http://127.0.0.1:8966", running.url)
        command = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", here]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120, check=False)
        assert done.stderr == "", title
        assert done.stdout.splitlines() == wanted, title
