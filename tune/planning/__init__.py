"""What a study is, and how long it will take.

May import: cluster, records. Must not know: Ray, Optuna.
"""
