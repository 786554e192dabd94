"""A run for Python code: read again at each use, so live while the search runs."""

import dataclasses
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.config import TrialConfig
from model.errors import ConfigError
from model.system.files import resolved
from model.system.filesystem import is_uri
from model.text.cleaning import clean
from tune.job.search_process import SearchProcess
from tune.monitoring.control import Control
from tune.records.load import LoadedRun, load_run
from tune.records.run_folder import RunFolder
from tune.records.study_file import StudyFile
from tune.records.tables import Table
from tune.reporting.axes import RESAMPLES, axis_shares
from tune.reporting.markdown_report import report_text
from tune.reporting.page import page_text

PAGE_PIXELS = 800
"""Height of a report's page in a notebook."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Report:
    """A report: Markdown as text, its page in a notebook.

    Attributes:
        markdown: The content of report.md.
        page: The content of report.html; it loads nothing from the network.
    """

    markdown: str
    page: str

    def __repr__(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        """Return the page in its own frame, because its styles are not the notebook's."""
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" width="100%" height="{PAGE_PIXELS}" '
            f'style="border: 0"></iframe>'
        )


class Run:
    """A run, live while it runs: each attribute of a LoadedRun is read at each access.

    Attributes:
        location: The run folder, or a URI.
    """

    study: StudyFile
    trials: Table
    epochs: Table
    finalists: Table
    predictor: Table
    quality: Table
    best: TrialConfig | None
    config: Callable[[int], TrialConfig]

    def __init__(self, location: str | Path, process: SearchProcess | None = None) -> None:
        """Take a run.

        Args:
            location: The run folder, or a URI that pyarrow reads, such as s3://bucket/results/ten.
            process: The search that writes it, if this Python process started that.

        Raises:
            ConfigError: It is no run of ours, or one of its files is damaged or unreachable.
        """
        self.location = str(location) if is_uri(str(location)) else resolved(location)
        self._process = process
        load_run(self.location)  # reports mistakes here

    @property
    def loaded(self) -> LoadedRun:
        """The whole run as it is now; this snapshot does not change."""
        return load_run(self.location)

    def __getattr__(self, name: str) -> Any:
        """Return a LoadedRun's attribute of that name, as it is now."""
        if name.startswith("_"):  # a copy asks before it has a location
            raise AttributeError(name)
        return getattr(self.loaded, name)

    def __dir__(self) -> list[str]:
        """Return the names to complete, including a LoadedRun's."""
        names = {*dir(LoadedRun), *(field.name for field in dataclasses.fields(LoadedRun))}
        return [*super().__dir__(), *(name for name in names if not name.startswith("_"))]

    @property
    def is_running(self) -> bool:
        """Whether the search has not ended; one that was killed looks the same."""
        if self._process is not None:
            return self._process.is_running
        return self.loaded.is_running

    @property
    def control(self) -> Control:
        """What steers the search while it runs: `run.control.stop(7)`."""
        return Control(self.location)

    def report(self) -> Report:
        """Return the report as it is now."""
        loaded = self.loaded
        folder = RunFolder(self.location) if isinstance(self.location, Path) else None
        return Report(markdown=report_text(loaded), page=page_text(loaded, folder))

    def importance(self) -> Table:
        """Return each axis's share in separating good trials from bad, largest first.

        Returns:
            The columns axis, share (they sum to 1), low and high: the middle 80 % of the shares
            over resamples of the trials, as on the page. No rows if there are too few trials.
        """
        return axis_shares(self.loaded, resamples=RESAMPLES)

    def generate(
        self,
        prime: str = "",
        *,
        chars: int = 300,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        cell: str | Sequence[str] = (),
    ) -> str:
        """Let the run's predictor, or its best kept network, continue a text.

        Args:
            prime: The text to continue; the returned text begins with it.
            chars: Number of characters to write, at least 1.
            temperature: 0 is greedy; None is the one found to write most like the book, else 0.8.
            top_k: Draw among this number of the most probable symbols.
            top_p: Draw among the most probable symbols up to this total probability.
            seed: Seed of the draws.
            cell: The user's own cells in the run's networks, FILE.py:CLASS; the file is executed.

        Raises:
            ConfigError: A number is out of range, the prime has unknown characters, the run has
                kept no network yet, or `cell` lacks one of its cells.
            CheckpointError: The kept network is damaged.
        """
        from model.generation.decoding import SamplingOptions, write_passages
        from model.generation.temperature import default_temperature
        from model.training.named_cells import execute_cells
        from model.training.predictor import load_network  # torch, 2 s: tables need none

        if not isinstance(self.location, Path):
            raise ConfigError(f"to generate text, a run must be a folder, got {self.location}")
        writers = RunFolder(self.location).writers()
        if not writers:
            raise ConfigError(
                f"to generate text, a run must have a checkpoint, got {self.location}"
            )
        _, path = writers[0]
        execute_cells([cell] if isinstance(cell, str) else cell)
        network = load_network(path)
        if temperature is None:
            temperature = default_temperature(path, network.config)
        cleaning = network.config.cleaning
        (written,) = write_passages(
            network.network,
            network.vocabulary,
            prime=prime,
            cleaning=cleaning,
            num_chars=chars,
            options=SamplingOptions(temperature=temperature, top_k=top_k, top_p=top_p),
            seed=seed,
        )
        return clean(prime, cleaning) + written

    def wait(self) -> "Run":
        """Wait until the search has ended; Ctrl-C, or the stop button, ends it as `stop` does.

        Raises:
            ConfigError: The user's mistake, in one line.
            ExternalFault: Something outside ended the search, which can be resumed.
        """
        if self._process is not None:
            self._process.wait()
        return self

    def stop(self) -> "Run":
        """End the search and wait for it: what it has found is reported, and it can be resumed.

        Raises:
            ConfigError: This Python process did not start it.
        """
        if self._process is None:
            raise ConfigError(
                "stop() works only in the Python process that started the search; elsewhere use "
                "control.end()"
            )
        self._process.interrupt()
        return self.wait()

    def __repr__(self) -> str:
        return repr(self.loaded)
