"""What an event stream brings."""

import json
from typing import Any


class Events:
    """Collects an event stream of messages."""

    def __init__(self) -> None:
        self.raw = b""

    def __call__(self, data: bytes) -> None:
        self.raw += data

    @property
    def blocks(self) -> list[dict[str, str]]:
        """Events, each with its fields."""
        blocks = self.raw.decode().split("\n\n")[:-1]
        return [dict(line.partition(": ")[::2] for line in block.split("\n")) for block in blocks]

    @property
    def lines(self) -> list[Any]:
        """The texts of the messages."""
        return [json.loads(block["data"])["data"] for block in self.blocks if "id" in block]
