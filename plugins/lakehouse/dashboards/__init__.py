"""Dashboards as code: files compared with what is live, applied, and proved by running every chart."""
