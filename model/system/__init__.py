"""Files, stores, limits, devices and the terminal: what the machine gives.

May import: nothing of model/ but `errors`. Must not know: texts, networks, searches.
"""
