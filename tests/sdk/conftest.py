"""The nodes and voices of the end-to-end tests."""

from tests.e2e.conftest import node, voices

__all__ = ["node", "voices"]
