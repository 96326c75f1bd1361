"""Moments that people see: waiting for the wall clock, and calendar expressions."""
