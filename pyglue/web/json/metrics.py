"""``/metrics`` for Prometheus, behind a bearer token of its own.

`hive metrics-token` issues the token. hived checks it: this process sends it in its
hello in place of a session, and it gives access to the metrics only. Without a token
there is no access, even on loopback; a browser's session is not accepted either.
"""

from typing import Final

from flask import Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pyglue.api.common import NoParams
from pyglue.api.operator import METRICS
from pyglue.errors import ErrorCode, HiveError
from pyglue.program.usage import usage_of
from pyglue.web.json.prometheus import HiveCollector
from pyglue.web.rpc import HiveLink, web

_SCHEME: Final = "bearer "
_TOKEN_MAX: Final = 256


def answer(_params: NoParams) -> Response:
    """Answer in Prometheus' text format."""
    link = HiveLink(web().socket, _token())
    try:
        found = link.call(METRICS, NoParams())
    except HiveError as error:
        if error.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.UNKNOWN_METHOD):
            raise _refused() from error
        raise
    finally:
        link.close()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HiveCollector(found, (*found.processes, usage_of("hive-web"))))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _token() -> str:
    given = request.headers.get("Authorization", "")
    token = given[len(_SCHEME) :].strip()
    if not given.lower().startswith(_SCHEME) or not 0 < len(token) <= _TOKEN_MAX:
        raise _refused()
    return token


def _refused() -> HiveError:
    return HiveError(
        ErrorCode.FORBIDDEN,
        "Metrics require the token that `hive metrics-token` prints, as "
        "`Authorization: Bearer TOKEN`.",
    )
