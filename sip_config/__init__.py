"""Who may call, and where calls go.  Pure values and decisions: no socket, no database, no clock."""
