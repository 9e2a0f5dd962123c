"""Measurements; each prints its method."""
