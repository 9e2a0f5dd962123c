"""The proxy itself (RFC 3261 section 16), sans-IO: datagrams and `now` in, datagrams and wishes out."""
