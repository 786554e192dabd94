"""Search spaces as typed Python declarations; `load_space` finds one by name or file."""

from search_spaces.baseline import Baseline
from search_spaces.budget import Budget
from search_spaces.load import SPACE_NAMES, load_space
from search_spaces.space import SearchSpace

__all__ = ["SPACE_NAMES", "Baseline", "Budget", "SearchSpace", "load_space"]
