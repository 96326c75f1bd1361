"""Connects to a host: resolves it once, checks every address, connects to one of them.

A name is never resolved twice, so the address of the connection has been checked.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohappyeyeballs import AddrInfoType, start_connection

from pyglue.egress.refusal import RefusedError, not_public
from pyglue.limits import EgressLimits
from pyglue.net.addresses import Address, is_ours, is_public
from pyglue.net.hosts import Host

_THREADS: Final = 64
_NEXT_ADDRESS_S: Final = 0.25
_ADDRESSES_MAX: Final = 16

Lookup = Callable[[str, int], Awaitable[list[Address]]]


class Dialer:
    """Makes connections for all agents."""

    def __init__(
        self,
        limits: EgressLimits,
        *,
        names: Mapping[str, str],
        lookup: Lookup | None = None,
    ) -> None:
        """``names`` have addresses that are used unchecked; ``lookup`` is for tests."""
        self._limits = limits
        self._names = {k: ipaddress.ip_address(v) for k, v in names.items()}
        self._lookup = lookup or self._getaddrinfo
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lookup")

    def close(self) -> None:
        """Stop waiting for lookups."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def connect(self, host: Host, lookups: asyncio.Semaphore) -> socket.socket:
        """Return a connected socket; ``lookups`` limits concurrent lookups of an agent.

        Raises:
            RefusedError: An address is not public, or the host does not answer.
        """
        addresses = await self._addresses(host, lookups)
        infos = [_info(address, host.port) for address in addresses]
        try:
            async with asyncio.timeout(self._limits.connect_s):
                return await start_connection(
                    infos, happy_eyeballs_delay=_NEXT_ADDRESS_S
                )
        except TimeoutError:
            raise RefusedError(504, f"{host} does not answer.") from None
        except OSError as error:
            why = error.strerror or "no connection"
            raise RefusedError(502, f"Cannot connect to {host}: {why}.") from None

    async def _addresses(self, host: Host, lookups: asyncio.Semaphore) -> list[Address]:
        known = self._names.get(host.name)
        if known is not None:
            return [known]
        found = [host.address] if host.address else await self._found(host, lookups)
        if not all(is_public(one) and not is_ours(one) for one in found):
            raise not_public(host)
        return found[:_ADDRESSES_MAX]

    async def _found(self, host: Host, lookups: asyncio.Semaphore) -> list[Address]:
        try:
            async with asyncio.timeout(self._limits.lookup_s):
                await lookups.acquire()
                # Lookups cannot be cancelled: an abandoned one still counts.
                task = asyncio.ensure_future(self._lookup(host.name, host.port))

                def over(done: asyncio.Future[list[Address]]) -> None:
                    lookups.release()
                    if not done.cancelled():
                        done.exception()  # mark as retrieved

                task.add_done_callback(over)
                found = await asyncio.shield(task)
        except TimeoutError:
            raise RefusedError(
                504, f"The DNS lookup of {host.name} timed out."
            ) from None
        except (OSError, ValueError):
            found = []
        if not found:
            raise RefusedError(502, f"{host.name} has no address.")
        return found

    async def _getaddrinfo(self, name: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM),
        )
        return [ipaddress.ip_address(info[4][0]) for info in infos]


def _info(address: Address, port: int) -> AddrInfoType:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    where = (str(address), port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)
