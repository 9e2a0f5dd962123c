"""The administration of trunks by the API: one file for each resource.

It can do what ``trunkflow apply`` can, with the same checks.
"""
