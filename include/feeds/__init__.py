"""What comes from outside as files: their schemas, and the values that are known here."""
