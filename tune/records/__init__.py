"""What is known of a run: trials, history, tables, folder, study.json.

May import: no other room. Must not know: Ray, Optuna, how a search decides.
"""
