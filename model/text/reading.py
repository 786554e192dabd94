"""How the bytes of a text are read: their encoding, and what stays of a book's beginning."""

import dataclasses

from model.errors import CorpusError
from model.text.diagnosis import decoded

UTF_8 = "utf-8"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How the bytes of a text that the user names are read.

    Attributes:
        keep_front_matter: Whether title and contents of Gutenberg's books stay.
        encoding: One of Python's text encodings.

    Raises:
        CorpusError: There is no such encoding.
    """

    keep_front_matter: bool = False
    encoding: str = UTF_8

    def __post_init__(self) -> None:
        try:
            " ".encode(self.encoding)
        except (LookupError, ValueError) as error:  # ValueError: a NUL in the name
            raise CorpusError(
                f"encoding must be one of Python's text encodings, such as latin-1, cp1252 or "
                f"utf-16, got {self.encoding!r}"
            ) from error

    def decoded(self, name: str, data: bytes) -> str:
        """Decode a text, without its byte-order mark; line ends are one line feed.

        Args:
            name: What the user calls it.
            data: Its bytes, unpacked.

        Raises:
            CorpusError: It is no text in this encoding.
        """
        if self.encoding != UTF_8:
            try:
                data = data.decode(self.encoding).encode()
            except UnicodeError as error:
                at = ""
                if isinstance(error, UnicodeDecodeError):
                    at = f" at offset {error.start:,}"
                raise CorpusError(
                    f"a corpus must be a text in {self.encoding}, but {name} is none: "
                    f"{getattr(error, 'reason', error)}{at}"
                ) from error
        return decoded(name, data)
