"""For what Ray gets but must not pickle: four objects of the driver."""

from typing import Any


class DriverOnly:
    """A mixin: pickled as nothing.

    Ray 2.60 pickles searcher, stopper and callbacks into its experiment state, which we never read
    back.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything out."""
        return {}
