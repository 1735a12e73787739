"""Superset 6.1: its session, its folder of files, and what of it the sync knows."""
