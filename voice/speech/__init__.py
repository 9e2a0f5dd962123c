"""Sounds: text to WAV, sound files to WAV, kept on disk; made in a process of their own."""
