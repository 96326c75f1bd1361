"""Passes listening sockets from hived to the processes that serve agents' sockets.

hived makes each agent's ``model.sock`` and keeps it open (``give``); hive-relay
accepts on it (``take``). So that process need not reach an agent's directory, and
connections are queued while it restarts.
"""
