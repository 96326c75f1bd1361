"""Which addresses count as public."""

import ipaddress

import pytest

from pyglue.net.addresses import is_public


@pytest.mark.parametrize(
    "text",
    [
        *("0.1.2.3", "0.255.0.1", "10.0.0.3", "100.64.0.1", "100.100.100.200"),
        *("127.0.0.1", "127.255.0.1", "168.63.129.16", "169.254.169.254"),
        *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1"),
        *("192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1"),
        *("fd00:ec2::254", "ff02::1", "100::1", "2001::1", "2001:db8::1", "3fff::1"),
        *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
        *("2002:0a00:0001::1", "2002:7f00:0001::", "64:ff9b::10.0.0.1"),
        *("64:ff9b::169.254.169.254", "64:ff9b:1::808:808", "4000::1"),
    ],
)
def test_it_is_not_public(text: str) -> None:
    """Also where an IPv4 address is inside an IPv6 one."""
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        *("1.1.1.1", "8.8.8.8", "140.82.121.3", "172.32.0.1", "223.255.255.255"),
        *("2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8"),
        *("64:ff9b::8.8.8.8", "2002:0808:0808::1"),
    ],
)
def test_it_is_public(text: str) -> None:
    """A translated address counts as what it stands for."""
    assert is_public(ipaddress.ip_address(text))
