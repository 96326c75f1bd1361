"""Deliveries that webhooks accepted."""

from typing import Final

STATEMENTS: Final = (
    """
    CREATE TABLE webhook_delivery (
        agent TEXT NOT NULL,
        hook TEXT NOT NULL,
        delivery TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (agent, hook, delivery)
    ) STRICT
    """,
    "CREATE INDEX webhook_delivery_at ON webhook_delivery (at)",
)
