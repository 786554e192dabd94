"""The networks and their arithmetic.

May import: `config`, `errors`. Must not know: texts, training, files.
"""
