"""Diagnosis of a hive: inconsistencies and their repair."""
