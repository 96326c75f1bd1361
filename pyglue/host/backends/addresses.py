"""IP addresses of containers with a network.

Used by the ``nixos-container`` backend. A container's conf file records its pair of
addresses; an address in any conf file of this host is in use, whoever wrote the file.
"""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.nspawn_conf import Found, Pair

_BLOCK: Final = 4
"""Addresses of a block: each pair has its own, and so its own broadcast address."""
_NAMES: Final = ("HOST_ADDRESS", "LOCAL_ADDRESS")


def check_ranges(ranges: Iterable[str]) -> tuple[ipaddress.IPv4Network, ...]:
    """Return the configured ranges.

    Raises:
        HiveError: ``config_invalid``.
    """
    found = []
    for text in ranges:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as error:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"Invalid nixos.network_ranges: {text[:40]!a}: {error}. Use a range "
                'such as "10.231.0.0/16".',
            ) from error
        if network.num_addresses < _BLOCK:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"Invalid nixos.network_ranges: {text} is too small for a container; "
                "use at least a /30.",
            )
        found.append(network)
    return tuple(found)


def pair_of(conf: Found, ranges: Iterable[ipaddress.IPv4Network]) -> Pair | None:
    """Return the pair in a conf file, None unless it is within these ranges."""
    host, local = (conf.get(name) for name in _NAMES)
    if host is None or local is None:
        return None
    pair = Pair(host, local)
    return pair if any(pair in _Pairs(network) for network in ranges) else None


def allocate(
    confs: Iterable[Found], container: str, ranges: tuple[ipaddress.IPv4Network, ...]
) -> Pair:
    """Return the container's pair of addresses: its current one, or the first free.

    Raises:
        HiveError: ``unavailable`` if the ranges are exhausted.
    """
    taken: set[str | None] = set()
    for conf in confs:
        if conf.container == container:
            own = pair_of(conf, ranges)
            if own is not None:
                return own
        else:
            taken.update(conf.get(name) for name in _NAMES)
    for network in ranges:
        for pair in _Pairs(network):
            if pair.host not in taken and pair.local not in taken:
                return pair
    raise HiveError(
        ErrorCode.UNAVAILABLE,
        "There is no free address for another container with a network. Configure "
        "more nixos.network_ranges, or destroy unused agents.",
    )


class _Pairs:
    """The pairs of a range, generated lazily."""

    def __init__(self, network: ipaddress.IPv4Network) -> None:
        self._network = network

    def __iter__(self) -> Iterator[Pair]:
        first = int(self._network.network_address)
        for block in range(first, first + self._network.num_addresses, _BLOCK):
            yield _pair(block)

    def __contains__(self, pair: object) -> bool:
        if not isinstance(pair, Pair):
            return False
        try:
            host = ipaddress.IPv4Address(pair.host)
        except ValueError:
            return False
        return host in self._network and pair == _pair(int(host) - int(host) % _BLOCK)


def _pair(block: int) -> Pair:
    return Pair(
        str(ipaddress.IPv4Address(block + 1)), str(ipaddress.IPv4Address(block + 2))
    )
