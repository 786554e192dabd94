"""Finds what a text has copied from a book: hashed n-grams, then the book itself.

Hashes of windows of any length are combined from those of half the length, so a megabyte costs
a few array operations. With 64-bit hashes, the chance that two different windows collide is about
1e-7 for a passage of 1,000 characters and a book of a million. The longest copied passage is
looked up in the book itself and is exact.
"""

import bisect

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
COPIED_CHARS = 40
"""Text in the book counts as copied from this length; no passage is as long by chance."""
_FILTER_CHARS = (16, 5)
"""The short one is for texts that copy almost nothing."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def window_hashes(text: str, length: int) -> Hashes:
    """Return a hash of each window of a text, in order; none if the text is shorter than one.

    Args:
        text: The text.
        length: Characters of a window, at least 1.
    """
    hashes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    if len(text) < length:
        return hashes[:0]
    hashes = _mixed(hashes)
    size = 1
    while size < length:
        # Two overlapping windows identify the text as well as two adjacent ones.
        shift = min(size, length - size)
        hashes = _mixed(hashes[:-shift] * _MULTIPLIER + hashes[shift:])
        size += shift
    return hashes


class CopyFinder:
    """The hashes of a book, against which texts are compared."""

    def __init__(self, book: str) -> None:
        self._book = book
        self._windows: dict[int, Hashes] = {}

    def copied_share(self, text: str) -> float:
        """Return the share of the text's windows of COPIED_CHARS that are in the book."""
        found = self._has_windows(text, COPIED_CHARS)
        return float(found.mean()) if len(found) else 0.0

    def longest_copied_chars(self, text: str) -> int:
        """Return the length of the longest passage of the text that is in the book."""
        longest = 0
        # A copied passage has all its windows in the book, so few positions need a search.
        positions = [(start, len(text)) for start in range(len(text))]
        for length in _FILTER_CHARS:
            found = self._has_windows(text, length)
            if found.any():
                stops = np.flatnonzero(~np.append(found, False))
                reaches = stops[np.searchsorted(stops, np.arange(len(found)))] + length - 1
                positions = [
                    (start, int(reaches[start])) for start in np.flatnonzero(found).tolist()
                ]
                break
        for start, reach in positions:
            if start + longest < reach and text[start : start + longest + 1] in self._book:
                longest = self._copied_chars(text[start:reach], longest + 1)
        return longest

    def _copied_chars(self, text: str, at_least: int) -> int:
        """Return how many of the text's first characters are in the book in one piece."""
        lengths = range(at_least + 1, len(text) + 1)
        return at_least + bisect.bisect(lengths, 0, key=lambda n: text[:n] not in self._book)

    def _has_windows(self, text: str, length: int) -> NDArray[np.bool_]:
        hashes, known = window_hashes(text, length), self._known(length)
        if len(known) == 0:
            return np.zeros(len(hashes), dtype=np.bool_)
        positions = np.searchsorted(known, hashes).clip(max=len(known) - 1)
        return np.asarray(known[positions] == hashes)

    def _known(self, length: int) -> Hashes:
        """Return the sorted hashes of the book's windows; computed once per length."""
        if length not in self._windows:
            self._windows[length] = np.unique(window_hashes(self._book, length))
        return self._windows[length]


def _mixed(hashes: Hashes) -> Hashes:
    """Return the hashes after murmur3's finaliser, so that sums of two do not cancel."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return hashes ^ (hashes >> np.uint64(33))
