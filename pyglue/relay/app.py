"""What the relay does with a request, from an agent's door to the model and back.

A request is read whole, judged (``request``), paid for in advance (``link``), sent on
as a new one (``upstream``), and its answer is streamed back while ``meter`` counts.
However it ends, it is settled. Refusals have the form of the API's own errors, with a
status that makes the CLI stop where trying again is of no use (all but 429 and 5xx);
402 is what the harness takes for a used-up budget. No body is stored or logged.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import web

from pyglue.api.relay import ReserveParams, SettleParams
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.models import Tokens
from pyglue.relay.door import Door, open_door
from pyglue.relay.link import Link
from pyglue.relay.meter import Meter
from pyglue.relay.request import BODY_LIMIT, Checked, check
from pyglue.relay.upstream import Upstream, passed_on

_MESSAGES: Final = "/v1/messages"
_COUNT: Final = "/v1/messages/count_tokens"
_QUERIES: Final = ("", "beta=true")
_CONCURRENT_MAX: Final = 16
_BODY_S: Final = 120.0
_HUNG_UP: Final = 499
_LIMITS: Final = 2
"""Daily limits that a request may be shortened for: money and tokens."""
_LIMITED: Final = (429, 503, 529)
_PATIENCE_S: Final = 10.0
"""How long a turn may be kept waiting for a limit; beyond that it ends and parks."""
_WAIT_MAX_S: Final = 7 * 86400.0
_RETRY_AFTER_S: Final = "5"  # two tries of the CLI then outlast a restart of hived
_STATUS: Final = {
    ErrorCode.BAD_REQUEST: (400, "invalid_request_error"),
    ErrorCode.FIELD_REFUSED: (400, "invalid_request_error"),
    ErrorCode.UNAUTHENTICATED: (401, "authentication_error"),
    ErrorCode.OVER_BUDGET: (402, "billing_error"),
    ErrorCode.MODEL_NOT_ALLOWED: (404, "not_found_error"),
    ErrorCode.NOT_FOUND: (404, "not_found_error"),
    ErrorCode.TOO_LARGE: (413, "request_too_large"),
    ErrorCode.TOO_MANY: (429, "rate_limit_error"),
    ErrorCode.UPSTREAM_FAILED: (502, "api_error"),
    ErrorCode.UNAVAILABLE: (503, "overloaded_error"),
    ErrorCode.TIMEOUT: (503, "overloaded_error"),
    ErrorCode.AGENT_NOT_RUNNING: (503, "overloaded_error"),
}

_log = logging.getLogger(__name__)


class Relay:
    """Serves agents' doors. Make it inside the running loop."""

    def __init__(
        self, config: HiveConfig, *, attached: Callable[[], object] = lambda: None
    ) -> None:
        """``attached`` is called whenever hived has told all that agents may ask.

        Raises:
            HiveError: ``config_invalid`` if the model's address is not right.
        """
        self._upstream = Upstream(config.relay)
        self.link = Link(
            config.layout,
            serve=self._open,
            drop=self._shut,
            cut=self._cut,
            attached=attached,
        )
        self._doors: dict[str, list[Door]] = {}
        self._running: Counter[str] = Counter()
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Shut every door, settle what was cut off, leave."""
        await asyncio.gather(*(self._shut(agent) for agent in list(self._doors)))
        if self._settling:
            await asyncio.wait(self._settling, timeout=0.5)
        await self._upstream.close()

    # --- doors ------------------------------------------------------------------------

    async def _open(self, agent: str, listener: socket.socket) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await self._answer(agent, request)

        fresh = await open_door(listener, answer)
        old = self._doors.get(agent, [])
        for door in old:
            door.retire()
        self._doors[agent] = [*(door for door in old if door.is_busy), fresh]

    async def _shut(self, agent: str) -> None:
        doors = self._doors.pop(agent, [])
        await asyncio.gather(*(door.shut() for door in doors))

    def _cut(self, agent: str) -> None:
        for door in self._doors.get(agent, ()):
            door.cut()

    # --- requests ---------------------------------------------------------------------

    async def _answer(self, agent: str, request: web.BaseRequest) -> web.StreamResponse:
        self._running[agent] += 1
        try:
            if self._running[agent] > _CONCURRENT_MAX:
                raise HiveError(
                    ErrorCode.TOO_MANY,
                    f"{_CONCURRENT_MAX} requests of this agent are being answered; "
                    "wait for one.",
                )
            return await self._route(agent, request)
        except HiveError as error:
            _log.info("%s: %s: %s", agent, error.code, error)
            return refusal(error)
        finally:
            self._running[agent] -= 1

    async def _route(self, agent: str, request: web.BaseRequest) -> web.StreamResponse:
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        if request.method == "HEAD" and path == "/":
            return web.Response()
        known = path in (_MESSAGES, _COUNT) and query in _QUERIES
        if request.method != "POST" or not known:
            raise HiveError(
                ErrorCode.NOT_FOUND,
                f"The hive passes on POST {_MESSAGES} and POST {_COUNT}, nothing else.",
            )
        counting = path == _COUNT
        policy = self.link.policy(agent)
        betas = request.headers.getall("anthropic-beta", [])
        raw = await _read(request)
        checked = await asyncio.to_thread(check, raw, betas, policy, counting=counting)
        del raw
        if counting:
            return await self._pass(request, path, checked, None)
        checked, reservation = await self._reserve(agent, checked)
        return await self._pass(request, path, checked, reservation)

    async def _reserve(self, agent: str, checked: Checked) -> tuple[Checked, int]:
        """Set money aside; near the limit, for a shorter answer."""
        for _ in range(_LIMITS):  # each limit may ask for a shorter one once
            try:
                return checked, await self.link.reserve(_aside(agent, checked))
            except HiveError as error:
                shorter = _shortened(checked, error)
                if shorter is None:
                    raise
                checked = shorter
        return checked, await self.link.reserve(_aside(agent, checked))

    async def _pass(
        self,
        request: web.BaseRequest,
        path: str,
        checked: Checked,
        reservation: int | None,
    ) -> web.StreamResponse:
        meter, status, used = Meter(checked), 0, False
        wait: float | None = None
        try:
            async with self._upstream.send(path, checked) as answer:
                if 300 <= answer.status < 400:
                    raise _unreachable("a redirect")
                status, used = answer.status, answer.status == 200
                wait = _asked_to_wait(answer)
                headers = passed_on(answer)
                if wait is not None and wait > _PATIENCE_S:
                    headers["x-should-retry"] = "false"
                response = web.StreamResponse(status=status, headers=headers)
                await response.prepare(request)
                async for data in answer.content.iter_any():
                    if used:
                        meter.feed(data)
                    await response.write(data)
                meter.end()
                await response.write_eof()
                return response
        except asyncio.CancelledError:
            # The agent hung up: what was sent is paid for, answered or not.
            status, used = status or _HUNG_UP, used or not status
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if status:  # the answer has begun: all that is left is to break it off
                return _break_off(request, response)
            _log.warning("the model could not be reached: %s", _reason(error))
            raise _unreachable(_reason(error)) from error
        finally:
            if reservation is not None:
                tokens = meter.tokens() if used else Tokens()
                self._settle(checked, tokens, reservation, status or 502, wait)

    def _settle(
        self,
        checked: Checked,
        tokens: Tokens,
        reservation: int,
        status: int,
        wait: float | None,
    ) -> None:
        """Tell hived what was used, behind the answer and even if the agent hung up."""
        params = SettleParams(
            reservation=reservation,
            cost_usd=checked.model.cost_usd(tokens),
            status=status,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            retry_after_s=wait,
        )
        task = asyncio.create_task(self.link.settle(params))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


def _aside(agent: str, checked: Checked) -> ReserveParams:
    return ReserveParams(
        agent=agent,
        model=checked.model.id,
        cost_usd=checked.max_cost_usd,
        input_tokens=checked.input_tokens,
        output_tokens=checked.max_tokens,
    )


def _shortened(checked: Checked, error: HiveError) -> Checked | None:
    """Return the request with as many tokens as a limit leaves, None if too few."""
    if error.code is not ErrorCode.OVER_BUDGET:
        return None
    told = error.details
    if "limit_tokens" in told:
        left = int(told["limit_tokens"]) - int(told.get("spent_tokens", 0))
        return checked.within_tokens(left - checked.input_tokens)
    limit, spent = (float(told.get(name, 0.0)) for name in ("limit_usd", "spent_usd"))
    return checked.within((limit - spent) * 0.99)


async def _read(request: web.BaseRequest) -> bytes:
    too_large = HiveError(
        ErrorCode.TOO_LARGE, f"A request may have at most {BODY_LIMIT} bytes."
    )
    if (request.content_length or 0) > BODY_LIMIT:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for data in request.content.iter_any():
                body += data
                if len(body) > BODY_LIMIT:
                    raise too_large
    except TimeoutError:
        raise HiveError(
            ErrorCode.BAD_REQUEST, f"The request did not come in {_BODY_S:g} s."
        ) from None
    return bytes(body)


def _asked_to_wait(answer: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that a limited or overloaded API asks to wait."""
    if answer.status not in _LIMITED:
        return None
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:  # none, or a date, which this API does not send
        return None
    return seconds if 0 <= seconds < _WAIT_MAX_S else None


def _break_off(
    request: web.BaseRequest, response: web.StreamResponse
) -> web.StreamResponse:
    """Close the agent's connection so that it sees that the answer is not whole."""
    if request.transport is not None:
        request.transport.abort()
    return response


def _reason(error: BaseException) -> str:
    """Say why in words that hold no address and no key."""
    match error:
        case aiohttp.ClientSSLError():
            return "its TLS certificate or handshake is not right"
        case aiohttp.ClientConnectorDNSError():
            return "its name was not found"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy does not let it through"
        case TimeoutError():
            return "it took too long"
        case aiohttp.ClientConnectorError():
            return "the connection was refused"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection was lost"
        case _:
            return f"the connection failed, {type(error).__name__}"


def _unreachable(reason: str) -> HiveError:
    return HiveError(
        ErrorCode.UPSTREAM_FAILED,
        f"The model's API could not be reached: {reason}. Try again later; the "
        "relay's log says more to the operator.",
    )


def refusal(error: HiveError) -> web.Response:
    """Return ``error`` as the API would say it."""
    status, kind = _STATUS.get(error.code, (500, "api_error"))
    return web.json_response(
        {"type": "error", "error": {"type": kind, "message": error.message}},
        status=status,
        headers={"retry-after": _RETRY_AFTER_S} if status == 503 else {},
    )
