"""Trials on Ray: the worker, ASHA, the time budget, faults, the recorder.

May import: cluster, records, storage. Must not know: Optuna, reports.
"""
