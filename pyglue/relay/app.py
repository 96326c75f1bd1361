"""The relay's doors: one HTTP server on each agent's socket, one client upstream.

A request is read whole, judged (``request``), paid for in advance (``link``), sent on
as a new request with headers of our own and the key, and its answer is streamed back
while ``meter`` counts. Nothing that the agent sent as a header goes up but the betas
that are on the list; redirects are not followed; no body is stored or logged.
"""

import asyncio
import logging
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from pyglue.api.relay import SettleParams
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.relay.link import Link
from pyglue.relay.meter import Meter
from pyglue.relay.request import BODY_LIMIT, Checked, check

_VERSION: Final = "2023-06-01"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
_PASSED: Final = ("content-type", "request-id", "retry-after")
_PASSED_PREFIX: Final = "anthropic-ratelimit-"
_STATUS: Final = {
    ErrorCode.BAD_REQUEST: (400, "invalid_request_error"),
    ErrorCode.FIELD_REFUSED: (403, "permission_error"),
    ErrorCode.MODEL_NOT_ALLOWED: (404, "not_found_error"),
    ErrorCode.TOO_LARGE: (413, "request_too_large"),
    ErrorCode.NOT_FOUND: (404, "not_found_error"),
    ErrorCode.OVER_BUDGET: (402, "billing_error"),
    ErrorCode.UNAVAILABLE: (503, "overloaded_error"),
    ErrorCode.UPSTREAM_FAILED: (502, "api_error"),
}
"""The CLI does not try 402 again: a billing error, which parks the agent."""

_Sent = AbstractAsyncContextManager[aiohttp.ClientResponse]

_log = logging.getLogger(__name__)


class Relay:
    """Serves agents' sockets."""

    def __init__(self, config: HiveConfig) -> None:
        self._upstream = config.relay.upstream_url.rstrip("/")
        self._key_file = config.relay.api_key_file
        self.link = Link(config.layout, serve=self._open, drop=self._shut)
        self._doors: dict[str, web.AppRunner] = {}
        self._client: aiohttp.ClientSession | None = None
        self._settling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the upstream client; call inside the running loop."""
        self._client = aiohttp.ClientSession(
            timeout=_TIMEOUT, auto_decompress=True, trust_env=True
        )

    async def close(self) -> None:
        """Shut every door."""
        for agent in list(self._doors):
            await self._shut(agent)
        if self._settling:
            await asyncio.wait(self._settling, timeout=1.0)
        if self._client is not None:
            await self._client.close()

    # --- doors ------------------------------------------------------------------------

    async def _open(self, agent: str, listener: socket.socket) -> None:
        await self._shut(agent)
        app = web.Application(client_max_size=BODY_LIMIT)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(agent, request)

        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        self._doors[agent] = runner

    async def _shut(self, agent: str) -> None:
        runner = self._doors.pop(agent, None)
        if runner is not None:
            await runner.cleanup()

    # --- requests ---------------------------------------------------------------------

    async def _answer(self, agent: str, request: web.Request) -> web.StreamResponse:
        try:
            return await self._route(agent, request)
        except HiveError as error:
            return _refusal(error)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(
                HiveError(
                    ErrorCode.TOO_LARGE,
                    f"A request may have at most {BODY_LIMIT} bytes.",
                )
            )

    async def _route(self, agent: str, request: web.Request) -> web.StreamResponse:
        where = (request.method, request.rel_url.raw_path)
        if where == ("HEAD", "/"):
            return web.Response()
        query = request.rel_url.raw_query_string
        paths = ("/v1/messages", "/v1/messages/count_tokens")
        if (
            request.method != "POST"
            or where[1] not in paths
            or query
            not in (
                "",
                "beta=true",
            )
        ):
            raise HiveError(
                ErrorCode.NOT_FOUND,
                "The hive passes on POST /v1/messages and /v1/messages/count_tokens "
                "only.",
            )
        policy = self.link.policy(agent)
        raw = await request.read()
        counting = where[1] == paths[1]
        beta = request.headers.get("anthropic-beta", "")
        checked = await asyncio.to_thread(check, raw, beta, policy, counting=counting)
        if counting:
            return await self._pass(request, where[1], checked, None)
        checked, reservation = await self._reserve(agent, checked)
        return await self._pass(request, where[1], checked, reservation)

    async def _reserve(self, agent: str, checked: Checked) -> tuple[Checked, int]:
        model = checked.model.id
        try:
            cost = checked.max_cost_usd
            return checked, await self.link.reserve(agent, model, cost)
        except HiveError as error:
            if error.code is not ErrorCode.OVER_BUDGET:
                raise
            left = float(error.details["limit_usd"]) - float(error.details["spent_usd"])
            smaller = checked.within(left * 0.99)
            if smaller is None:
                raise
            cost = smaller.max_cost_usd
            return smaller, await self.link.reserve(agent, model, cost)

    async def _pass(
        self, request: web.Request, path: str, checked: Checked, reservation: int | None
    ) -> web.StreamResponse:
        meter = Meter(checked.model, streamed=checked.body.get("stream") is True)
        status = 0
        try:
            async with self._sent(path, checked) as upstream:
                status = upstream.status
                response = web.StreamResponse(status=status, headers=_passed(upstream))
                await response.prepare(request)
                async for data in upstream.content.iter_any():
                    if status == 200:
                        meter.feed(data)
                    await response.write(data)
                await response.write_eof()
                return response
        except (aiohttp.ClientError, TimeoutError) as error:
            if status:  # the answer began: all that is left is to break it off
                if request.transport is not None:
                    request.transport.abort()
                raise asyncio.CancelledError from error
            _log.warning("upstream failed: %s", type(error).__name__)
            raise HiveError(
                ErrorCode.UPSTREAM_FAILED,
                f"The model could not be reached ({type(error).__name__}). Try again "
                "later; the operator finds more in the relay's log.",
            ) from error
        finally:
            meter.finish()
            if reservation is not None:
                self._settle(checked, meter, reservation, status)

    def _sent(self, path: str, checked: Checked) -> _Sent:
        if self._client is None:
            raise HiveError(ErrorCode.UNAVAILABLE, "The relay is stopping.")
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "anthropic-version": _VERSION,
            "x-api-key": self._key(),
            "user-agent": "hyperhive-relay",
        }
        if checked.betas:
            headers["anthropic-beta"] = ",".join(checked.betas)
        return self._client.post(
            f"{self._upstream}{path}?beta=true",
            data=checked.encoded(),
            headers=headers,
            allow_redirects=False,
        )

    def _key(self) -> str:
        if self._key_file is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                "No API key is configured; the operator sets it with apiKeyFile.",
            )
        try:
            return Path(self._key_file).read_text().strip()
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"The API key cannot be read ({error.strerror}); tell the operator.",
            ) from error

    def _settle(
        self, checked: Checked, meter: Meter, reservation: int, status: int
    ) -> None:
        """Tell hived what was used, behind the answer and even if the agent hung up.

        An answer that broke off before it said what it used counts its input.
        """
        cost = meter.cost_usd
        if status == 200 and not meter.seen:
            cost = checked.input_cost_usd
        params = SettleParams(
            reservation=reservation,
            cost_usd=cost,
            status=status,
            input_tokens=meter.input_tokens,
            output_tokens=meter.output_tokens,
            cache_read_tokens=meter.cache_read_tokens,
            cache_write_tokens=meter.cache_write_tokens,
        )
        task = asyncio.create_task(self.link.settle(params))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


def _passed(upstream: aiohttp.ClientResponse) -> dict[str, str]:
    return {
        name: value
        for name, value in upstream.headers.items()
        if name.lower() in _PASSED or name.lower().startswith(_PASSED_PREFIX)
    }


def _refusal(error: HiveError) -> web.Response:
    status, kind = _STATUS.get(error.code, (500, "api_error"))
    return web.json_response(
        {"type": "error", "error": {"type": kind, "message": error.message}},
        status=status,
    )
