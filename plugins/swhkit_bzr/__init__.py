"""Loads Bazaar origins."""
