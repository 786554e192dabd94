"""A run in a storage that all machines see: checkpoints, copies, its driver's lease, orders.

May import: records. Must not know: Ray, Optuna.
"""
