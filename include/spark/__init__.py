"""Spark jobs; each can be run by hand with spark-submit."""
