"""Iceberg tables: made from contracts, appended to once, read back."""
