"""Samples text from a trained network, one symbol per step, with the state carried over.

Does not access files. Shapes: B passages, V vocabulary.
Sources: Fan 2018, arXiv:1805.04833 (top-k); Holtzman 2019, arXiv:1904.09751 (top-p).
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

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
"""A lower temperature means greedy: float32 logits do not resolve such fine differences, and below
1e-45 the temperature would become 0 in float32, and 0 / 0 is NaN."""
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
    generator = _generator(model, hash_seed(check_seed(seed), *prime_T.tolist()))

    def pieces() -> Iterator[Piece]:
        passages = [Passage(bounds) for _ in range(num_passages)]
        before, uniform = clean(context, cleaning), _uniform(generator)
        writers = [vocabulary.writer(before, uniform) for _ in passages]
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
    device = next(model.parameters()).device
    logits_1V, step = model.start_text(torch.zeros(1, dtype=torch.int64, device=device), 1)

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


def _uniform(generator: torch.Generator) -> Callable[[], float]:
    """Return a source of random numbers, 0 <= u < 1."""
    return lambda: torch.rand((), generator=generator, device=generator.device).item()


def _generator(model: Network, seed: int) -> torch.Generator:
    device = next(model.parameters()).device
    return torch.Generator(device=device).manual_seed(seed)


def drawn(
    model: Network,
    prime_T: Tensor,
    num_passages: int,
    options: SamplingOptions,
    generator: torch.Generator,
    temperatures: Sequence[float] | None = None,
) -> Iterator[Tensor]:
    """Yield the next symbol of each passage (B,), endlessly.

    Args:
        model: The network; it is left in evaluation mode.
        prime_T: Indices (T,) of the text that it reads first, at least one.
        num_passages: Passages sampled in parallel, at least 1.
        options: How symbols are drawn.
        generator: Source of the draws, on the network's device.
        temperatures: One per passage, above 0; None means that of the options for all.
    """
    model.eval()
    temperature_B1 = None
    if temperatures is not None:
        temperature_B1 = torch.tensor(temperatures, device=generator.device)[:, None]
    # Not around the loop: torch 2.13 would re-enter it at each symbol, at 3 microseconds.
    with torch.inference_mode():
        logits_BV, step = model.start_text(prime_T.to(generator.device), num_passages)
    while True:
        drawn_B = _draw(logits_BV.float(), options, generator, temperature_B1)
        yield drawn_B
        logits_BV = step(drawn_B)


def _draw(
    logits_BV: Tensor,
    options: SamplingOptions,
    generator: torch.Generator,
    temperature_B1: Tensor | None = None,
) -> Tensor:
    """Return the index of the next symbol of each passage (B,)."""
    if temperature_B1 is None and options.temperature < GREEDY_BELOW:
        return logits_BV.argmax(dim=-1)
    if temperature_B1 is None:
        logits_BV = logits_BV / options.temperature
    else:
        # These may be arbitrarily small. Shifted by the maximum, the most probable symbol's
        # logit is 0 whatever the divisor; the other logits can overflow only to minus infinity,
        # which is probability 0.
        logits_BV = (logits_BV - logits_BV.amax(dim=-1, keepdim=True)) / temperature_B1
    if options.top_k is not None and options.top_k < logits_BV.shape[-1]:
        smallest_B1 = logits_BV.topk(options.top_k, dim=-1).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < smallest_B1, float("-inf"))
    probabilities_BV = logits_BV.softmax(dim=-1)
    if options.top_p is None:
        return _drawn_places(probabilities_BV, generator)[:, 0]
    sorted_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True)
    before_BV = sorted_BV.cumsum(dim=-1) - sorted_BV
    kept_BV = sorted_BV.masked_fill(before_BV >= options.top_p, 0.0)
    return order_BV.gather(-1, _drawn_places(kept_BV, generator))[:, 0]


def _drawn_places(weights_BV: Tensor, generator: torch.Generator) -> Tensor:
    """Return an index for each passage (B, 1), drawn in proportion to the weights.

    Samples by inverting the cumulative distribution: a third of the time of torch 2.13's
    multinomial, an eighth for 64 passages. In float64 the draw lies below the total, so a symbol
    of weight 0 is never drawn.
    """
    up_to_BV = weights_BV.cumsum(dim=-1, dtype=torch.float64)
    part_B1 = torch.rand(
        (len(up_to_BV), 1), generator=generator, device=generator.device, dtype=torch.float64
    )
    return torch.searchsorted(up_to_BV, part_B1 * up_to_BV[:, -1:], right=True)
