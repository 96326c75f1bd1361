"""New messages while a turn runs: none is missed."""

from typing import cast

from pyglue.api.common import NoParams
from pyglue.api.turns import SteerResult
from pyglue.harness.joined import Joined
from pyglue.harness.link.link import Link
from pyglue.harness.steering import Steering


class _Busy:
    """A hived that has more news while it answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.steering = Steering(cast(Link, self), Joined())

    async def steer(self) -> SteerResult:
        self.asked += 1
        if self.asked == 1:
            self.steering.news(NoParams())
        return SteerResult(messages=(), waiting=1, senders=("bob",), newest=self.asked)


async def test_news_during_the_question_are_asked_for_again() -> None:
    hived = _Busy()
    hived.steering.begin()
    assert await hived.steering.line() is None
    hived.steering.news(NoParams())
    for _ in range(3):
        await hived.steering.line()
    assert hived.asked == 2
