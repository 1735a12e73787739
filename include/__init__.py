"""What this lakehouse holds: contracts, dashboards, jobs, sample data."""
