"""One job, phase by phase: options, prepare or resume, plan, search, finalists, finish.

May import: every other room.
"""
