"""``trunkflow gauntlet``: attacks a SIP server, any SIP server, and says what it stood and what it did not.

Each family of attacks has a file of its own; `runner` runs them one after another and asks after each
whether the server is still there.  Nothing here knows how the server is made: it is seen from the wire.
"""
