"""Loads CVS origins."""
