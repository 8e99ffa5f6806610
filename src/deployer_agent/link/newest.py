"""A lane for what replaces itself: facts of the host, the list of processes (wire.py 8 and 9)."""

from typing import Any, Final

from deployer.kit.clock import Clock
from deployer_agent.errors import ProblemError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.lane import Lane, Traffic
from deployer_agent.link.requests import Requests
from deployer_agent.outbox.newest import NewestOutbox, NewestPost

NOT_FOUND: Final = 404


def newest_lane(
    route: tuple[str, type[Any]], box: NewestOutbox, requests: Requests, clock: Clock, complaints: Complaints
) -> Lane[NewestPost]:
    """Posts what the outbox has to a route with such an answer; what is refused for good is not offered again."""
    name, answer = route

    async def post(parcel: NewestPost) -> None:
        try:
            await requests.post(name, parcel.body, answer)
        except ProblemError as error:
            if not error.is_final and error.status != NOT_FOUND:  # a master older than the route
                raise
            box.refuse(parcel, str(error))
            return
        box.acknowledge(parcel)

    lane = Lane(Traffic(name, box.take, post, box.give_back), clock, complaints)
    box.ready = lane.nudge
    return lane
