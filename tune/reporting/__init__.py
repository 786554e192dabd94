"""From tables to report.md, report.html and samples.md.

May import: records. Must not know: Ray, and anything that the tables do not have.
"""
