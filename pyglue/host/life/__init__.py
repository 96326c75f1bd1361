"""An agent's life beside its proposals: drafts, destroy, kept state, purge."""
