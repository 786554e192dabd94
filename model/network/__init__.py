"""The networks and their arithmetic.

May import: kernels. Must not know: texts, training, files.
"""
