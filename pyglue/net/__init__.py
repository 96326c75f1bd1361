"""Hosts, addresses and connections, for every program that reaches the network.

``hosts`` reads the patterns of hosts that agents may reach, ``addresses`` knows which
addresses are public, ``push_endpoints`` reads the addresses of push services.
``forwarding`` passes bytes between two connections; ``splice`` has the kernel do it.
"""
