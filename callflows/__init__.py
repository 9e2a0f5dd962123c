"""What a callflow says, and how it proceeds.

The public names: `parse_document` and `to_canonical` (canonical XML), `Callflow`, `DocumentFaults`
and `Fault`, `Interpreter` with `Ending` and `Cause`, and `simulate` with `Script` for tests.
`callflows.ports` says what a live call has to offer.
"""
