"""Observation by the operator: history, metrics, logs, terminals, views."""
