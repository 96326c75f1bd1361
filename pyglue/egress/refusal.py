"""The responses to agents' refused and failed connections."""

from typing import Final

from pyglue.net.hosts import Host
from pyglue.text.display import visible

_PHRASES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    429: "Too Many Requests",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


class RefusedError(Exception):
    """A refused or failed connection: an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence

    def answer(self) -> bytes:
        """Return the whole response; the sentence is also its reason phrase.

        Clients do not show the body of a refused CONNECT, but some show the reason.
        """
        body = f"{self.sentence}\n".encode()
        reason = self.sentence.encode("ascii", "replace").decode()
        head = (
            f"HTTP/1.1 {self.status} {_PHRASES[self.status]}: {reason}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        return head.encode() + body


def bad_request(why: str) -> RefusedError:
    """Return the refusal of an invalid request."""
    return RefusedError(400, why)


def not_listed(host: Host) -> RefusedError:
    """Return the refusal of a host that the agent may not reach."""
    return RefusedError(
        403,
        f"You may not reach {visible(str(host))}. Ask the manager to add "
        f'"{visible(host.entry)}" to hyperhive.network.allow of your agent.nix.',
    )


def only_tls(host: Host) -> RefusedError:
    """Return the refusal of a plain request to a host that gets a secret."""
    return RefusedError(
        403,
        f"Requests to {visible(str(host))} carry a secret and require HTTPS: "
        f"use https://{visible(str(host))}/.",
    )


def not_public(host: Host) -> RefusedError:
    """Return the refusal of a name with an address that is not public."""
    return RefusedError(
        403,
        f"{visible(str(host))} has an address that is not public (private, loopback, "
        "link-local or this machine's own). hive-egress connects to none of these.",
    )


def other_name(host: Host, seen: str) -> RefusedError:
    """Return the refusal of TLS for another name than the connection's."""
    return RefusedError(
        403,
        f"The connection is to {visible(str(host))}, but its TLS handshake asks for "
        f"{visible(seen, limit=100)}.",
    )
