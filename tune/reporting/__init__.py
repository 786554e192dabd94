"""From tables to report.md, report.html and samples.md.

May import: records. Must not know: Ray, and anything that is not in the tables.
"""
