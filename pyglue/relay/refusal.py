"""Errors in the API's format, with a status to which the CLI reacts correctly.

All except 429 and 5xx stop the CLI, because trying again would be pointless. The
harness interprets 402 as a used-up budget.
"""

from typing import Final

import aiohttp
from aiohttp import web

from pyglue.errors import ErrorCode, HiveError

_RETRY_AFTER_S: Final = "5"  # two attempts of the CLI outlast a restart of hived
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


def refusal(error: HiveError) -> web.Response:
    """Return ``error`` in the API's format."""
    status, kind = _STATUS.get(error.code, (500, "api_error"))
    return web.json_response(
        {"type": "error", "error": {"type": kind, "message": error.message}},
        status=status,
        headers={"retry-after": _RETRY_AFTER_S} if status == 503 else {},
    )


def unreachable(reason: str) -> HiveError:
    """Return the error for an API that gave no usable answer."""
    return HiveError(
        ErrorCode.UPSTREAM_FAILED,
        f"Could not reach the model API: {reason}. Try again later; the operator "
        "finds more in the relay's log.",
    )


def reason(error: BaseException) -> str:
    """Explain why the API was not reached, without an address or key."""
    match error:
        case aiohttp.ClientSSLError():
            return "invalid TLS certificate or failed handshake"
        case aiohttp.ClientConnectorDNSError():
            return "its name could not be resolved"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy refused the connection"
        case TimeoutError():
            return "it timed out"
        case aiohttp.ClientConnectorError():
            return "the connection was refused"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "the connection was lost"
        case _:
            return f"the connection failed, {type(error).__name__}"
