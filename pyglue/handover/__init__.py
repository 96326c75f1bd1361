"""Passes agents' listening sockets from hived to the daemons that serve them.

hived creates each agent's ``model.sock`` and ``egress.sock`` and keeps them open
(``give``); hive-relay and hive-egress accept on them (``take``), and receive each
agent's policy (``link``). So a daemon need not reach an agent's directory, and
connections are queued while it restarts.
"""
