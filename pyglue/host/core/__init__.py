"""What every other package of hived stands on: the agents, events, the audit log,
operations, names and rates."""
