"""hive-egress: the proxy between agents without a network and allowed hosts."""
