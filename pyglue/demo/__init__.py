"""The scripted stand-in for the model, and the scenario of `make demo`."""
