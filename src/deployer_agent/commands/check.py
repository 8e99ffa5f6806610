"""A result that is not what its level says makes its task an ERROR (code BAD_RESULT), found out where it is made."""

import msgspec

from deployer.kit.threads import Threads
from deployer.protocol import codes, resultdata
from deployer.protocol.results import Result


class Checker:
    """Reads results; long ones in a thread."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def __call__(self, result: Result) -> Result:
        """The same, or an error when it ended well with a result that does not parse."""
        if result.state != "OK" or not result.level or result.reason is not None:  # a cut one cannot parse
            return result
        try:
            if resultdata.is_quick(result.level, result.data):
                resultdata.parse(result.level, result.data)
            else:
                await self._threads.run(resultdata.parse, result.level, result.data)
        except resultdata.BadResult as error:
            return msgspec.structs.replace(result, state="ERROR", code=codes.BAD_RESULT, reason=str(error))
        return result
