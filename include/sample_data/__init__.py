"""Sample data: the same for the same day, whoever makes it."""
