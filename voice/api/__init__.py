"""The HTTP API: MessageBird's voice and REST resources, and the administration of trunks.

One file for each resource, written as a list of `operation.Operation`; `server` serves them, `openapi`
describes them.  The only home of aiohttp's server.
"""
