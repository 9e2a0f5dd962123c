"""The running service: edge, call pool, media, speech, store and API."""
