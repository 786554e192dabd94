"""A run in a storage that all machines see: checkpoints, copies, the lease of its driver.

May import: records. Must not know: Ray, Optuna.
"""
