"""The changes of the tables, each a step from one revision to the next."""
