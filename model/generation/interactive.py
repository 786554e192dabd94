"""A conversation with a network: type a beginning, and it continues, character by character.

Ctrl-C ends a passage; at the prompt it ends the conversation, as does Ctrl-D.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

from model.config import check_seed
from model.errors import ConfigError, unknown_choice
from model.generation.decoding import SamplingOptions, stream_passages
from model.generation.ending import Bounds
from model.network.base import Network
from model.text.streams import AnyVocabulary

COMMANDS = {
    "/temperature": "T: sampling temperature; 0 always takes the most probable symbol",
    "/seed": "N: random seed; the same seed and beginning give the same text",
    "/chars": "N: length of a passage",
    "/help": "this list",
    "/quit": "end the conversation, as does Ctrl-D",
}
READ_AGAIN_CHARS = 2_000
"""Characters of its own text that it reads again before it continues."""


@dataclasses.dataclass(kw_only=True, slots=True)
class Conversation:
    """What the user says line by line, and what the network answers.

    Attributes:
        model: The network.
        vocabulary: Its symbols.
        cleaning: How beginnings are cleaned.
        options: How symbols are drawn.
        seed: Seed of the draws.
        num_chars: Characters per passage.
        stop: A passage ends after this string too; None means no such string.
        text: The last passage, including its beginning.

    Raises:
        ConfigError: The seed or the number of characters is out of its range, or the network
            cannot write the string.
    """

    model: Network
    vocabulary: AnyVocabulary
    cleaning: str
    options: SamplingOptions
    seed: int
    num_chars: int
    stop: str | None = None
    text: str = ""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        self._bounds().cleaned(self.cleaning, self.vocabulary)

    def answer(self, line: str) -> Iterator[str]:
        """Return the answer to a line, in pieces as they are written.

        A line that begins with a slash is a command, or with two a beginning with one; an empty
        line asks for more of the last passage, and any other line begins a new one.

        Raises:
            ConfigError: The command is unknown, its value breaks a rule, or the beginning cannot
                be read.
        """
        if line.startswith("//"):
            line = line.removeprefix("/")
        elif line.startswith("/"):
            return iter([self._command(*line.split(maxsplit=1))])
        return self._write(self.text if line == "" else line, is_new=line != "")

    def _write(self, prime: str, *, is_new: bool) -> Iterator[str]:
        pieces = stream_passages(
            self.model,
            self.vocabulary,
            prime=prime[-READ_AGAIN_CHARS:],
            cleaning=self.cleaning,
            options=self.options,
            bounds=self._bounds(),
            seed=self.seed,
        )
        self.text = prime

        def written() -> Iterator[str]:
            if is_new:
                yield prime
            for piece in pieces:
                self.text += piece.text
                yield piece.text

        return written()

    def _bounds(self) -> Bounds:
        return Bounds(num_chars=self.num_chars, stop=self.stop)

    def _command(self, command: str, value: str = "") -> str:
        if command not in COMMANDS:
            raise ConfigError(unknown_choice("command", command, COMMANDS))
        if command == "/help":
            lines = (f"{name:<13} {text}" for name, text in COMMANDS.items())
            rules = (
                "an empty line continues the last passage",
                "// begins a passage with a slash",
            )
            return "\n".join([*rules, *lines])
        if command == "/quit":
            raise EOFError
        kind: type[float] | type[int] = float if command == "/temperature" else int
        try:
            number = kind(value)
        except ValueError as error:
            what = "a number" if kind is float else "a whole number"
            raise ConfigError(f"{command} takes {what}, got {value!r}") from error
        if command == "/temperature":
            self.options = dataclasses.replace(self.options, temperature=float(number))
        elif command == "/chars":
            self.num_chars = Bounds(num_chars=int(number)).num_chars  # it is checked
        else:
            self.seed = check_seed(int(number))
        return f"{command[1:]} is now {number}"


def converse(
    conversation: Conversation, ask: Callable[[], str], say: Callable[[str], None]
) -> None:
    """Answer line by line until the user ends the conversation.

    Args:
        conversation: The conversation that answers.
        ask: Returns the next line; raises EOFError or KeyboardInterrupt if there is none.
        say: Shows a piece of text at once.
    """
    while True:
        try:
            line = ask()
            _say_all(conversation.answer(line), say)
        except ConfigError as error:
            say(f"{error}\n")
        except (EOFError, KeyboardInterrupt):
            say("\n")
            return


def _say_all(pieces: Iterable[str], say: Callable[[str], None]) -> None:
    """Show pieces as they arrive; Ctrl-C ends this passage only."""
    try:
        for piece in itertools.chain(pieces, ["\n"]):
            say(piece)
    except KeyboardInterrupt:
        say(" …\n")
