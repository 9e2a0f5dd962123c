"""What can go wrong with the database as a whole."""

from __future__ import annotations


class StoreError(Exception):
    """The database cannot be used.  The message says which, why, and what to do; it holds no password."""
