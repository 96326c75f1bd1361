"""Agents and whole hives as archives: export, import, backup."""
