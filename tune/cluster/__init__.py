"""Ray and its nodes, and what a trial asks of them.

May import: no other room. Must not know: what is searched.
"""
