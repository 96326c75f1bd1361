"""An agent's lifecycle apart from proposals: drafts, destroy, kept state, purge."""
