"""Text: where it comes from, its cleanings, its symbols, and the streams that are trained on.

May import: system. Must not know: networks.
"""
