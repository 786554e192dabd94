"""One job, phase by phase; job.py calls the phases.

options.py, then prepare.py (fit.py, start_from.py) or resume.py (found_before.py), plan.py,
search.py (steering.py carries out orders), finalists.py (finalist_scores.py), predictor.py
(mixing.py), finish.py (outcome.py); notify.py reports the end. A search from Python runs in its
own process: from_python.py, search_process.py, live_run.py.

May import: every other room.
"""
