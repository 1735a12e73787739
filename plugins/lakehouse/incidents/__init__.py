"""Incidents: one thread per thing that is broken, kept in PostgreSQL because the lake may be what is down."""
