"""Values of trials by number, kept in order: a quantile costs the same however many there are."""

import bisect


class RankedValues:
    """A value for each of some trials."""

    def __init__(self) -> None:
        """Begin without a trial."""
        self._of_number: dict[int, float] = {}
        self._in_order: list[float] = []

    def __len__(self) -> int:
        return len(self._in_order)

    def __contains__(self, number: int) -> bool:
        return number in self._of_number

    def __setitem__(self, number: int, value: float) -> None:
        if number in self._of_number:
            del self._in_order[bisect.bisect_left(self._in_order, self._of_number[number])]
        self._of_number[number] = value
        bisect.insort(self._in_order, value)

    def quantile(self, share: float) -> float:
        """Return the value below which a share of them lies, between two by a straight line.

        The same as numpy's, of at least one value.

        >>> values = RankedValues()
        >>> for number, value in enumerate((3.0, 1.0, 2.0, 4.0)):
        ...     values[number] = value
        >>> values.quantile(0.5)
        2.5
        """
        place = (len(self._in_order) - 1) * share
        below = self._in_order[int(place)]
        above = self._in_order[min(int(place) + 1, len(self._in_order) - 1)]
        part = place - int(place)
        # From the nearer of the two, as numpy does: rounded alike.
        if part < 0.5:
            return below + (above - below) * part
        return above - (above - below) * (1 - part)
