"""Wrappers that give other libraries' networks and exported programs the interface of a `Network`."""
