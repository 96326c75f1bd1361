"""hive-egress: the way from an agent without a network to the hosts it may reach."""
