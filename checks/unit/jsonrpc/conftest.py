"""A listener with limits that a test may choose."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.kits.jsonrpc.listener import LIMITS, Service
from pyglue.jsonrpc import Server, serve
from pyglue.limits import RpcLimits


@pytest.fixture
def limits() -> RpcLimits:
    return LIMITS


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(
    tmp_path: Path, service: Service, limits: RpcLimits
) -> AsyncIterator[Server]:
    running = await serve(tmp_path / "s.sock", service.session, limits=limits)
    yield running
    running.close()
