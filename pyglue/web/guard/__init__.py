"""Who may talk to the dashboard: sessions, origins, TLS, the agents' ports."""
