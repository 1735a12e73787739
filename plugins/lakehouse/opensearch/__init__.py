"""Counted shipping of rows to OpenSearch."""
