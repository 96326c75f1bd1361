"""What the operator watches: history, metrics, logs, terminals, views."""
