"""Loads archive origins."""
