"""hived's side of the relay: listeners, policies and money."""
