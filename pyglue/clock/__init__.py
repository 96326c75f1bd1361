"""Times for people: waiting for the wall clock, and calendar expressions."""
