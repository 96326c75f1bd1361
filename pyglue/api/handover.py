"""What hived sends with the descriptor of an agent's listening socket.

One datagram per agent on a SEQPACKET socket: a JSON ``Listener`` with exactly one
descriptor. ``relay-fds.sock`` has the agents' ``model.sock``.
"""

from pyglue.api.common import AgentName, Params


class Listener(Params, frozen=True):
    """The JSON sent with a descriptor: the socket's agent."""

    agent: AgentName
