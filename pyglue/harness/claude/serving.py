"""Answers the CLI's requests during a turn: for tools, hooks, and new messages."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pyglue import strict_json
from pyglue.harness.claude.launch import Launch, News
from pyglue.harness.claude.wire import (
    BOUNDARY,
    NO_ANSWER,
    Asked,
    CliError,
    Line,
    raw,
    user_line,
)

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Serving:
    """Answers control requests of one CLI, through ``write``."""

    launch: Launch
    write: Callable[[dict[str, Any]], Awaitable[None]]
    news: News | None = field(default=None, init=False)
    """Source of new messages after tool calls; None outside of turns."""
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def begin(self, line: Line) -> None:
        """Answer a control request in a separate task."""
        task = asyncio.create_task(self._serve(line))
        self._tasks[line.request_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(line.request_id, None))

    def cancel(self, request: str) -> None:
        """Cancel the answer to a request, if it is still in progress."""
        if (serving := self._tasks.get(request)) is not None:
            serving.cancel()

    async def close(self) -> None:
        """Cancel all answers."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, line: Line) -> None:
        """Answer a control request; a failure is an answer, too."""
        answer: dict[str, Any] = {"subtype": "success", "request_id": line.request_id}
        try:
            asked = strict_json.read(line.request, Asked)
            answer["response"] = await self._answer(asked)
        except Exception as error:
            _log.exception("a request of the CLI failed")
            answer |= {"subtype": "error", "error": str(error)}
        with contextlib.suppress(CliError):  # the CLI is gone
            await self.write({"type": "control_response", "response": answer})

    async def _answer(self, asked: Asked) -> object:
        hooks = {f"hook_{n}": hook for n, hook in enumerate(self.launch.hooks)}
        match asked.subtype:
            case "mcp_message" if asked.server_name in self.launch.tools_of_ours:
                server = self.launch.tools_of_ours[asked.server_name]
                answer = await server.answer(bytes(asked.message))
                return {"mcp_response": NO_ANSWER if answer is None else raw(answer)}
            case "hook_callback" if asked.callback_id == BOUNDARY:
                await self._steer(asked.input)
                return {}
            case "hook_callback" if asked.callback_id in hooks:
                return await hooks[asked.callback_id].decide(asked.input)
        raise CliError(f"there is no {asked.subtype} of that kind")

    async def _steer(self, boundary: object) -> None:
        """Give the model new messages before its next call.

        The CLI reads lines in order, and gets this one before our answer.
        """
        within = isinstance(boundary, dict) and boundary.get("agent_id")
        if self.news is None or within:  # a subagent hears nothing
            return
        found = await self.news.line()
        if found is not None:
            line, text = found
            await self.write(user_line(text) | {"client_composed": True, "uuid": line})
