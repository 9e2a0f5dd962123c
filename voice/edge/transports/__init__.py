"""The edge's sockets: a thin asyncio shell that hands whole messages to the core and sends what it says."""
