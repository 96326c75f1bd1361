"""A store made anew from tags, records and the audit log, while no hived runs."""
