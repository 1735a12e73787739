"""Service levels: measured by stated rules, kept as events."""
