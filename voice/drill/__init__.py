"""Rehearsals of what goes wrong: synthetic calls while a part of the platform is missing."""
