"""The harness's connections: hived's socket and the model's."""
