"""Operators: an engine called with what the connections say."""
