"""Rebuilds the store from tags, records and the audit log, while no hived runs."""
