"""Grafana 12 and 13: its session, its folder of files, and what of it the sync knows."""
