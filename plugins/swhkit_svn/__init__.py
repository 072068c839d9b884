"""Loads Subversion origins."""
