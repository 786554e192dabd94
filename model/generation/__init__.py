"""Text from a network, and how good it is.

May import: network, scoring, system, text. Must not know: training.
"""
