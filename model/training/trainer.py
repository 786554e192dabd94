"""Trains one configuration, report by report. Does not know schedulers or Ray.

The regime decides what a step sees (regimes.py); here are precision, optimiser steps,
reports, and the checkpoints from which training continues.

Sources: Pascanu 2013 (gradient clipping), Loshchilov & Hutter, arXiv:1711.05101 (AdamW).
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from model.config import TrialConfig
from model.errors import CheckpointError, TrainingDiverged
from model.network.base import Network
from model.network.own_cells import sha256_of
from model.network.precision import Arithmetic, autocast, resolve_arithmetic
from model.scoring.evaluation import symbol_nats
from model.system.seeds import hash_seed
from model.text.streams import EncodedCorpus, training_sha256
from model.training.checkpoint import (
    CheckpointMeta,
    Origin,
    load_checkpoint,
    load_training_state,
    save_checkpoint,
)
from model.training.cost import check_fits
from model.training.epoch_report import EpochReport
from model.training.optimizer import mean_weights, take_step
from model.training.regimes import build_regime
from model.training.schedule import (
    peak_learning_rate,
    schedule_factor,
    scheduled_decay_fraction,
    training_is_over,
)


class Trainer:
    """Trains one configuration on one cleaned corpus.

    Raises:
        CorpusError: The training part is too short for the batch, the window or the reports.
    """

    def __init__(
        self,
        config: TrialConfig,
        corpus: EncodedCorpus,
        *,
        device: torch.device | str = "cpu",
        arithmetic: Arithmetic | None = None,
        location: str | None = None,
    ) -> None:
        """Start before the first report.

        Args:
            config: The configuration to train.
            corpus: The streams of its cleaning.
            device: The device to train on.
            arithmetic: Precision and kernel; None means those of the config.
            location: Where the text can be found again, for checkpoints; None if unknown.
        """
        check_fits(config, corpus)
        assert config.cleaning == corpus.cleaning
        assert config.unit == corpus.vocabulary.unit
        self.config = config
        self.corpus = corpus
        self.device = torch.device(device)
        self.arithmetic = arithmetic or resolve_arithmetic(config, self.device)
        self.location = location
        self.origin: Origin | None = None
        self.last_report: EpochReport | None = None
        self.best_report: EpochReport | None = None
        self._best_weights: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):  # drawn on the CPU: the same on each device
            torch.manual_seed(config.seed)
            self.regime = build_regime(config, corpus, self.device)
        self.model = self.regime.network
        self.model.use_kernel(self.arithmetic.kernel, self.arithmetic.precision)
        self.optimizer = self.regime.optimizer
        self.steps_per_epoch = self.regime.steps_per_epoch

    def reports(self) -> Iterator[EpochReport]:
        """Yield a report after each epoch, or part of one, until the training is finished.

        Raises:
            TrainingDiverged: A step's loss was NaN or infinite; raised when the report is due.
        """
        number = self.last_report.report if self.last_report else 0
        elapsed_seconds = self.last_report.elapsed_seconds if self.last_report else 0.0
        while not self.is_finished:
            number += 1
            start = time.perf_counter()
            train_nats = self.train_until(number)
            val_nats = self.validation_nats()
            if not math.isfinite(val_nats):
                epoch, steps = self._place(number)
                raise TrainingDiverged(epoch=epoch, step=steps.stop, loss=val_nats)
            elapsed_seconds += time.perf_counter() - start
            report = EpochReport.of(
                self.corpus,
                report=number,
                epoch=self.config.epochs_at(number),
                train_nats_per_symbol=train_nats,
                val_nats=val_nats,
                elapsed_seconds=elapsed_seconds,
            )
            self._keep(report)
            yield report

    @property
    def is_finished(self) -> bool:
        """Whether the configuration's epochs are done, or its patience is exhausted."""
        last, best = self.last_report, self.best_report
        if last is None or best is None:
            return False
        return training_is_over(self.config, report=last.report, best_report=best.report)

    def train_until(self, report: int) -> float:
        """Train up to a report from the previous one; return the mean loss in nats per symbol.

        Args:
            report: Counted from 1.

        Raises:
            TrainingDiverged: A step's loss was NaN or infinite.
        """
        self.model.train()
        epoch, steps = self._place(report)
        losses = torch.zeros(len(steps), device=self.device)
        num_scored = torch.zeros(len(steps), dtype=torch.float64, device=self.device)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            # Dropout depends only on seed and report: a resumed run needs no saved state.
            seed = hash_seed(self.config.seed, report)
            torch.manual_seed(seed)
            self.regime.begin_report(seed, epoch_seed=hash_seed(self.config.seed, epoch))
            for place, step in enumerate(steps):
                losses[place], num_scored[place] = self.train_step(epoch, step)
        # The losses are read once per report, so that the device need not wait for the host.
        if not torch.isfinite(losses).all():
            place = int(torch.nonzero(~torch.isfinite(losses))[0])
            loss = losses[place].item()
            raise TrainingDiverged(epoch=epoch, step=steps[place] + 1, loss=loss)
        return losses.sum(dtype=torch.float64).item() / num_scored.sum().item()

    def _place(self, report: int) -> tuple[int, range]:
        """Return the epoch, counted from 1, and the range of its steps that a report covers."""
        epoch, part = divmod(report - 1, self.config.reports_per_epoch)
        first, end = (
            number * self.steps_per_epoch // self.config.reports_per_epoch
            for number in (part, part + 1)
        )
        return epoch + 1, range(first, end)

    def train_step(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Take one optimiser step; return its loss, summed over symbols, and their number.

        Args:
            epoch: Counted from 1; the regime must have begun one of its reports.
            step: Counted from 0 in the epoch.
        """
        with autocast(self.arithmetic.precision, self.device):
            loss, num_scored = self.regime.loss(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate((epoch - 1) * self.steps_per_epoch + step)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch 2.13
        if self.config.regime == "stream":
            norm = self.config.gradient_clip_norm
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), norm)
        take_step(self.optimizer)
        return loss.detach() * num_scored, num_scored

    def validation_nats(self) -> float:
        """Return the network's total cost of the validation passage, in nats."""
        with mean_weights(self.optimizer), autocast(self.arithmetic.precision, self.device):
            nats_N = symbol_nats(
                self.model,
                self.corpus.validation.symbols,
                context=self.corpus.train.symbols,
            )
        return float(nats_N.sum())

    def save(self, folder: Path) -> None:
        """Write a checkpoint folder: the best epoch's network, and the state to resume from.

        Raises:
            CheckpointError: The folder cannot be written.
        """
        assert self.last_report is not None and self.best_report is not None, "nothing trained"
        meta = CheckpointMeta(
            config=self.config,
            vocabulary=self.corpus.vocabulary,
            metrics=self.best_report,
            last_metrics=self.last_report,
            precision=self.arithmetic.precision,
            kernel=self.arithmetic.kernel,
            text_sha256=training_sha256(self.corpus),
            corpus=self.location,
            origin=self.origin,
            cell_sha256=sha256_of(self.config.cell),
        )
        weights = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        training = {**weights, **self._optimizer_tensors()}
        save_checkpoint(folder, self._best_weights, meta, training)

    def begin_with(self, network: Network, origin: Origin) -> None:
        """Load the weights of a network of the same shape and symbols, before the first epoch."""
        self.model.load_state_dict(network.state_dict())
        self.origin = origin

    def restore(self, folder: Path) -> None:
        """Load a saved state; the next epochs are those that would have followed it.

        On a CPU that has them, they use the checkpoint's precision and kernel: a measurement
        might choose others.

        Raises:
            CheckpointError: The checkpoint is damaged, or has another configuration or text.
        """
        best_model, meta = load_checkpoint(folder, self.device)
        self._check_same(meta, folder)
        tensors = load_training_state(folder)
        try:
            weights = {name: tensors.pop(f"model.{name}") for name in self.model.state_dict()}
            self.model.load_state_dict(weights)
            self._load_optimizer(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = f"{folder}: its training state does not fit its configuration: {error}"
            raise CheckpointError(reason) from error
        begun_in = Arithmetic(precision=meta.precision, kernel=meta.kernel)
        if self.device.type == "cpu" and begun_in.is_available:
            self.arithmetic = begun_in
            self.model.use_kernel(meta.kernel, meta.precision)
        self.origin = meta.origin
        self._best_weights = best_model.state_dict()
        self.best_report = meta.metrics
        self.last_report = meta.last_metrics

    def _check_same(self, meta: CheckpointMeta, folder: Path) -> None:
        """Reject a checkpoint of another configuration or text."""
        ours, theirs = self.config.to_dict(), meta.config.to_dict()
        for name, value in ours.items():
            if theirs[name] != value:
                raise CheckpointError(
                    f"{name} must be that of the checkpoint {folder}, {theirs[name]!r}, "
                    f"got {value!r}"
                )
        otherwise = "or another --encoding or --keep-front-matter"
        if meta.vocabulary != self.corpus.vocabulary:
            raise CheckpointError(
                f"{folder} was trained on a text with other symbols, {otherwise}"
            )
        if meta.text_sha256 != training_sha256(self.corpus):
            raise CheckpointError(
                f"{folder} was trained on another text of the same symbols, {otherwise}"
            )

    def _keep(self, report: EpochReport) -> None:
        self.last_report = report
        best = self.best_report
        if best is None or report.val_bits_per_char < best.val_bits_per_char:
            self.best_report = report
            with mean_weights(self.optimizer):
                state = self.model.state_dict()
                self._best_weights = {name: value.clone() for name, value in state.items()}

    def learning_rate(self, step: int) -> float:
        """Return the step size of an optimiser step, counted from 0 over all epochs."""
        if self.config.regime == "window":
            return self.config.learning_rate
        return peak_learning_rate(self.config) * schedule_factor(
            step,
            num_steps=round(self.config.epochs * self.steps_per_epoch),
            decay_fraction=scheduled_decay_fraction(self.config),
        )

    def _trained_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Return names and parameters in the optimiser's order."""
        return [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        """Return the optimiser's state of each parameter, for any optimiser."""
        return {
            f"{key}.{name}": torch.as_tensor(value)
            for name, parameter in self._trained_parameters()
            for key, value in self.optimizer.state[parameter].items()
            if value is not None
        }

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        """Restore the optimiser's state from what `_optimizer_tensors` returned.

        Raises:
            KeyError: A tensor belongs to no parameter.
            ValueError: A tensor's shape is not its parameter's, or a tensor is missing.
        """
        parameters = dict(self._trained_parameters())
        kept: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}
        for full_name, tensor in tensors.items():
            key, _, name = full_name.partition(".")
            if tensor.dim() and tensor.shape != parameters[name].shape:
                raise ValueError(f"{full_name} has the shape {tuple(tensor.shape)}")
            kept[name][key] = tensor
        if len({frozenset(of_one) for of_one in kept.values()}) > 1:
            raise ValueError("the optimiser's state lacks some parameters")
        state = self.optimizer.state_dict()
        state["state"] = dict(enumerate(kept.values()))
        self.optimizer.load_state_dict(state)
