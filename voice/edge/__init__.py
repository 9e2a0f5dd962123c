"""The SIP front end: a proxy that decides who may call, and relays calls to call processes and gateways.

`core` is sans-IO, `transports` owns the sockets, `server.Edge` puts them together.
"""
