"""Watchers of an arena: notifications, metrics and logs out of its committed events."""
