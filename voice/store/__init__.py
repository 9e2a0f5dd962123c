"""The database: what is configured, and what is worth remembering about calls."""
