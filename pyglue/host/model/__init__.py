"""hived's side of the relay: listeners, what each agent may ask for, and the money."""
