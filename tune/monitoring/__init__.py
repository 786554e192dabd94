"""Who watches a search and steers it: display, JSON events, status, orders, trackers.

control.py sends orders: records/orders.py says what they are, storage/requests.py takes them,
job/steering.py carries them out. tracker.py is the protocol of trackers, a user's own among them.

May import: records, storage. Must not know: how a search decides.
"""
