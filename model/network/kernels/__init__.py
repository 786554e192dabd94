"""Code for which torch is slow, compiled on the user's machine.

May import: system. Must not know: the rest of network, texts, training.
"""
