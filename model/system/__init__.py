"""Files, stores, limits, devices and the terminal: what the machine gives.

May import: no other room. Must not know: texts, networks, searches.
"""
