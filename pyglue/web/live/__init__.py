"""Live parts of pages: the event hub, streams, terminals."""
