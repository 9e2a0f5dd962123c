"""The parts of the simulator; `callflows.simulator` is the door."""
