"""The networks and their arithmetic.

May import: no other room. Must not know: texts, training, files.
"""
