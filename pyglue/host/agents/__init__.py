"""Running agents: their directories, ports, limits, start, stop and supervision."""
