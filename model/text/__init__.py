"""Text: where it comes from, its cleanings, its symbols, its n-gram, and the streams to train on.

May import: system. Must not know: networks.
"""
