"""The scripted stand-in for the model, and the story that `make demo` plays."""
