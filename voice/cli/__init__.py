"""The command line: ``trunkflow``."""
