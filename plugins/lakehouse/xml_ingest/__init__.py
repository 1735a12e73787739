"""XML files into a table: every file archived or refused, every record loaded or refused."""
