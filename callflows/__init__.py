"""What a callflow says, and how it proceeds."""
