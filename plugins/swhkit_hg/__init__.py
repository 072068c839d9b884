"""Loads Mercurial origins."""
