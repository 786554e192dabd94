"""Language models of characters, words or bytes, recurrent networks of any cell, and their data.

Usable without Ray.
"""
