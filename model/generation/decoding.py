"""Samples text from a trained network, one symbol per step, with the state carried over.

Does not access files. Shapes: B passages, V vocabulary.
Sources: Fan 2018, arXiv:1805.04833 (top-k); Holtzman 2019, arXiv:1904.09751 (top-p).
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from model.config import check_seed
from model.errors import ConfigError
from model.generation.ending import Bounds, Passage, Piece
from model.network.base import Network
from model.system.files import is_utf8
from model.system.seeds import hash_seed
from model.text.cleaning import clean
from model.text.streams import AnyVocabulary

GREEDY_BELOW = 1e-6
"""A lower temperature means greedy: float32 logits do not resolve such fine differences."""
_MOST_NOISY_LOGITS = 2_048
"""Logits of a step, of all passages, up to which noise takes less time than inversion: with 60
symbols a quarter, with 3,000 a third more (numpy 2.4, torch 2.13)."""
_NOISE_VALUES = 1 << 16
"""Random numbers drawn at once for many steps."""
_MAX_TEMPERATURE = 1e30
"""A higher one is the same: all symbols are as probable, and float32 ends at 3e38."""
TIMED_PASSES, TIMED_SYMBOLS = 5, 20
"""Passes, and symbols per pass, that are timed to measure one symbol."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SamplingOptions:
    """How the next symbol is drawn.

    Attributes:
        temperature: Divides the logits; 0 or a value below GREEDY_BELOW means greedy: the most
            probable symbol each time.
        top_k: Sample only from the k most probable symbols; None means all.
        top_p: Sample only from the fewest symbols whose probabilities sum to at least p,
            0 < p <= 1; None means all.

    Raises:
        ConfigError: A value is out of its range.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(f"temperature must be at least 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p must be in 0 < p <= 1, got {self.top_p}")


def encode_prime(prime: str, vocabulary: AnyVocabulary, cleaning: str) -> Tensor:
    """Return the cleaned prime's indices (T,); an empty prime becomes a space.

    Raises:
        ConfigError: The prime is not UTF-8 (surrogates stand for its bytes), it has characters
            outside a vocabulary of characters, or cleaning leaves nothing of it.
    """
    if not prime:
        prime = vocabulary.blank
    if not is_utf8(prime):
        raise ConfigError(f"a prime must be UTF-8, got {prime!r}")
    cleaned = clean(prime, cleaning)
    if not cleaned:
        raise ConfigError(f"the cleaning {cleaning!r} must leave something of the prime {prime!r}")
    try:
        return torch.from_numpy(vocabulary.encode_prime(cleaned)).long()
    except ConfigError as error:
        raise ConfigError(f"prime {prime!r}: {error}") from error


def write_passages(
    model: Network,
    vocabulary: AnyVocabulary,
    *,
    prime: str,
    cleaning: str,
    num_chars: int,
    num_passages: int = 1,
    options: SamplingOptions,
    temperatures: Sequence[float] | None = None,
    seed: int = 0,
) -> list[str]:
    """Return passages of text without the prime; unknown words are spelled out as they are drawn.

    Args:
        model: The network; it is left in evaluation mode.
        vocabulary: Its symbols.
        prime: What it reads first; the text continues from there.
        cleaning: How the prime is cleaned.
        num_chars: Characters of each passage, at least 1.
        num_passages: Passages sampled in parallel, at least 1.
        options: How symbols are drawn; spelling is always drawn at the model's probabilities.
        temperatures: One per passage, above 0; None means that of the options for all.
        seed: Seed of all draws; the same seed and prime give the same text.

    Raises:
        ConfigError: A number is out of its range, or the prime cannot be read (see
            `encode_prime`).
    """
    pieces = stream_passages(
        model,
        vocabulary,
        prime=prime,
        cleaning=cleaning,
        bounds=Bounds(num_chars=num_chars),
        num_passages=num_passages,
        options=options,
        temperatures=temperatures,
        seed=seed,
    )
    written: list[list[str]] = [[] for _ in range(num_passages)]
    for piece in pieces:
        written[piece.passage].append(piece.text)
    return ["".join(texts) for texts in written]


def stream_passages(
    model: Network,
    vocabulary: AnyVocabulary,
    *,
    prime: str,
    cleaning: str,
    bounds: Bounds,
    num_passages: int = 1,
    options: SamplingOptions,
    temperatures: Sequence[float] | None = None,
    seed: int = 0,
) -> Iterator[Piece]:
    """Return passages as they are written, symbol by symbol; those of a batch alternate.

    The text is that of `write_passages` for the same arguments, up to where it ends. The bounds
    say where it ends and what precedes a passage: their separator is read before the prime, and
    their strings are cleaned like the prime.

    Raises:
        ConfigError: As `write_passages`, or the network cannot write a string of the bounds.
    """
    if num_passages < 1:
        raise ConfigError(f"num_passages must be at least 1, got {num_passages}")
    # Checked here: the generator below would raise only at its first step.
    bounds = bounds.cleaned(cleaning, vocabulary)
    context = (bounds.separator or "") + prime
    prime_T = encode_prime(context, vocabulary, cleaning)
    # The seed depends on the prime. With one random stream for all, texts of different primes soon
    # became the same: 95 % of two passages at a temperature of 0.5.
    entropy = hash_seed(check_seed(seed), *prime_T.tolist())
    generator = np.random.Generator(np.random.SFC64(entropy))

    def pieces() -> Iterator[Piece]:
        passages = [Passage(bounds) for _ in range(num_passages)]
        before = clean(context, cleaning)
        writers = [vocabulary.writer(before, generator.random) for _ in passages]
        for drawn_B in drawn(model, prime_T, num_passages, options, generator, temperatures):
            for number, symbol in enumerate(drawn_B.tolist()):
                passage = passages[number]
                if not passage.is_over:
                    written = passage.take(writers[number](symbol))
                    yield Piece(number, written, passage.is_over)
            if all(passage.is_over for passage in passages):
                return

    return pieces()


@torch.inference_mode()
def milliseconds_per_symbol(model: Network) -> float:
    """Measure the time per symbol of one passage, on the network's device.

    Args:
        model: The network; it is left in evaluation mode.
    """
    model.eval()
    logits_1V, step = model.start_text(torch.zeros(1, dtype=torch.int64, device=model.device), 1)

    def one_pass() -> None:
        nonlocal logits_1V
        for _ in range(TIMED_SYMBOLS):
            logits_1V = step(logits_1V.argmax(dim=-1))
        logits_1V.cpu()  # waits for a GPU

    return fastest_milliseconds(one_pass)


def fastest_milliseconds(one_pass: Callable[[], None]) -> float:
    """Return the milliseconds per symbol of the fastest pass: other programs slow the others.

    Args:
        one_pass: Samples TIMED_SYMBOLS symbols; called TIMED_PASSES times.
    """
    seconds = []
    for _ in range(TIMED_PASSES):
        start = time.perf_counter()
        one_pass()
        seconds.append(time.perf_counter() - start)
    return min(seconds) / TIMED_SYMBOLS * 1e3


def drawn(
    model: Network,
    prime_T: Tensor,
    num_passages: int,
    options: SamplingOptions,
    generator: np.random.Generator,
    temperatures: Sequence[float] | None = None,
) -> Iterator[Tensor]:
    """Yield the next symbol of each passage (B,), endlessly.

    Args:
        model: The network; it is left in evaluation mode.
        prime_T: Indices (T,) of the text that it reads first, at least one.
        num_passages: Passages sampled in parallel, at least 1.
        options: How symbols are drawn.
        generator: Source of the draws.
        temperatures: One per passage, above 0; None means that of the options for all.
    """
    model.eval()
    is_greedy = temperatures is None and options.temperature < GREEDY_BELOW
    of_each = temperatures or [options.temperature] * num_passages
    temperature_B1 = torch.tensor(of_each, device=model.device)[:, None]
    temperature_B1 = temperature_B1.clamp(GREEDY_BELOW, _MAX_TEMPERATURE)
    # Not around the loop: torch 2.13 would re-enter it at each symbol, at 3 microseconds.
    with torch.inference_mode():
        logits_BV, step = model.start_text(prime_T.to(model.device), num_passages)
    choose = _chooser(logits_BV.shape[-1], temperature_B1, generator)
    while True:
        if is_greedy:
            drawn_B = logits_BV.argmax(dim=-1)
        else:
            drawn_B = _drawn(logits_BV.float(), options, temperature_B1, choose)
        yield drawn_B
        logits_BV = step(drawn_B)


def _drawn(
    logits_BV: Tensor,
    options: SamplingOptions,
    temperature_B1: Tensor,
    choose: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the index of the next symbol of each passage (B,)."""
    if options.top_k is not None and options.top_k < logits_BV.shape[-1]:
        smallest_B1 = logits_BV.topk(options.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < smallest_B1, float("-inf"))
    if options.top_p is None:
        return choose(logits_BV)
    sorted_BV, order_BV = logits_BV.sort(dim=-1, descending=True)
    probabilities_BV = ((sorted_BV - sorted_BV[:, :1]) / temperature_B1).softmax(dim=-1)
    before_BV = probabilities_BV.cumsum(dim=-1) - probabilities_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= options.top_p, float("-inf"))
    return order_BV.gather(-1, choose(kept_BV)[:, None])[:, 0]


def _chooser(
    num_symbols: int, temperature_B1: Tensor, generator: np.random.Generator
) -> Callable[[Tensor], Tensor]:
    """Return a function that draws an index (B,) from softmax(logits / temperature), (B, V)."""
    if len(temperature_B1) * num_symbols <= _MOST_NOISY_LOGITS:
        noise = _noise(num_symbols, temperature_B1, generator)
        return lambda logits_BV: (logits_BV + next(noise)).argmax(dim=-1)

    def inverted(logits_BV: Tensor) -> Tensor:
        # In float64 the draw lies below the total, so a symbol of weight 0 is never drawn.
        up_to_BV = (logits_BV / temperature_B1).softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
        part_B1 = torch.from_numpy(generator.random((len(up_to_BV), 1))).to(up_to_BV.device)
        return torch.searchsorted(up_to_BV, part_B1 * up_to_BV[:, -1:], right=True)[:, 0]

    return inverted


def _noise(
    num_symbols: int, temperature_B1: Tensor, generator: np.random.Generator
) -> Iterator[Tensor]:
    """Yield the noise (B, V) of each step, endlessly.

    The symbol whose logit plus noise is the largest is drawn from softmax(logits / temperature).
    That takes two calls of torch where inversion takes seven.

    Source: the Gumbel-max trick, Maddison 2014, arXiv:1411.0030, section 2.
    """
    shape = (len(temperature_B1), num_symbols)
    num_steps = _NOISE_VALUES // (shape[0] * shape[1])
    while True:
        # Not drawn in float32, where 1 in 6,000,000 is 0: noise that outweighs any logit.
        drawn_SBV = torch.from_numpy(generator.standard_exponential((num_steps, *shape))).float()
        log_SBV = drawn_SBV.clamp_(min=torch.finfo().tiny).log_()
        yield from (log_SBV.to(temperature_B1.device) * -temperature_B1).unbind()
