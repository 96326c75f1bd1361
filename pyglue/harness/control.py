"""What hived and the operator currently want of this harness.

hived sends it after each hello and at every change (``control``), and requests
compactions. ``loop`` looks here before it receives messages, and wakes at a change.
"""

import asyncio

from msgspec.structs import replace

from pyglue.api.agent import ControlParams
from pyglue.api.common import AgentState, Done, NoParams

Hold = tuple[AgentState, str]


class Control:
    """The current state, and requests that hold once."""

    def __init__(self) -> None:
        self._control = ControlParams()
        self._changed = asyncio.Event()
        self._again = False
        self._compact = False
        self._begin = False

    def take(self, params: ControlParams) -> None:
        """Accept the state that applies from now on; hived's notification."""
        control = replace(params, again=False)
        self._again = self._again or params.again
        if params.again or control != self._control:
            self._control = control
            self._changed.set()

    async def ask_compact(self, _params: NoParams) -> Done:
        """Request a compaction of the session; hived's method."""
        self._compact = True
        self._changed.set()
        return Done()

    async def ask_begin(self, _params: NoParams) -> Done:
        """Request a new session; hived's method."""
        self._begin = True
        self._changed.set()
        return Done()

    @property
    def hold(self) -> Hold | None:
        """Why no turn may begin, as the state that says so."""
        if self._control.paused is not None:
            return AgentState.PAUSED, self._control.paused
        if self._control.over_budget is not None:
            return AgentState.OVER_BUDGET, self._control.over_budget
        return None

    def take_again(self) -> bool:
        """Return whether everything is to be retried now; resets the request."""
        again, self._again = self._again, False
        return again

    def take_compact(self) -> bool:
        """Return whether a compaction is requested; resets the request."""
        compact, self._compact = self._compact, False
        return compact

    def take_begin(self) -> bool:
        """Return whether a new session is requested; resets the request."""
        begin, self._begin = self._begin, False
        return begin

    def look(self) -> None:
        """Make ``changed`` refer to changes after this call."""
        self._changed.clear()

    async def changed(self) -> None:
        """Wait for a change since ``look``."""
        await self._changed.wait()
