"""Trains and saves one configuration; estimates what that costs in time and memory.

May import: network, scoring, system, text. Must not know: trials, searches, Ray.
"""
