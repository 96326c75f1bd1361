"""Requests of an agent, checked as by the relay."""

import json
from typing import Any

import pytest

from checks.kits.relay.bench import message, policy
from pyglue.errors import ErrorCode, HiveError
from pyglue.limits import RelayLimits
from pyglue.relay.request import Checked, check


def judge(
    body: Any,
    *betas: str,
    counting: bool = False,
    **fields: Any,
) -> Checked:
    """Judge a body under a policy with these ``fields``."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return check(raw, betas, policy(**fields), counting=counting, limits=RelayLimits())


def sent(body: Any, **fields: Any) -> Any:
    """Return what is sent to the provider."""
    return json.loads(judge(body, **fields).encoded())


def refusal(
    body: Any,
    *betas: str,
    **fields: Any,
) -> HiveError:
    """Return the refusal of a body that is refused."""
    with pytest.raises(HiveError) as caught:
        judge(body, *betas, **fields)
    return caught.value


def content(*blocks: Any) -> dict[str, Any]:
    """Return a request with one message of these blocks."""
    return message(messages=[{"role": "user", "content": list(blocks)}])


REFUSED = (ErrorCode.FIELD_REFUSED, ErrorCode.BAD_REQUEST)
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
CACHE = {"type": "ephemeral"}
TEXT = {"type": "text", "text": "x"}
HIT = {"type": "search_result", "source": "s", "title": "t", "content": [TEXT]}
