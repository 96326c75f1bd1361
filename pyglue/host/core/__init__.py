"""The base of all other packages of hived: the agents, events, the audit log,
operations, names and rates."""
