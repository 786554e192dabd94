"""Which configuration comes next: Optuna's samplers behind Ray's Searcher.

May import: records. Must not know: workers, checkpoints, reports.
"""
