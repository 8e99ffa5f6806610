"""Sets of levels as arguments: apart from `levels`, so that the command line need not import msgspec."""

from typing import Annotated

from msgspec import Meta

Expression = Annotated[str, Meta(min_length=1, max_length=200, description="`*`, or levels and ranges: 1,2,5-9")]
