"""The networks and the precision in which they are computed.

May import: system. Must not know: texts, training.
"""
