"""The networks and their arithmetic.

May import: system. Must not know: texts, training.
"""
