"""Long texts, packed in memory, which are unpacked part by part.

Python takes two bytes for each character of a text that has one beyond Latin-1, a curly quote,
and four where one lies beyond 16 bits: of a gigabyte that a search has read, 4 GB until it ends.
"""

import dataclasses
import io

import pyarrow as pa

_BLOCK_CHARS = 1 << 20
"""What is unpacked at once; a text that is no longer is not packed."""
_CODEC = "zstd"


@dataclasses.dataclass(frozen=True, slots=True)
class PackedText:
    """A text with a length and slices, as a str has them; `str` unpacks all of it.

    Attributes:
        num_chars: Its characters.
        blocks: Each _BLOCK_CHARS of them, the last what remains: packed UTF-8, and the number of
            its bytes when unpacked.
    """

    num_chars: int
    blocks: tuple[tuple[bytes, int], ...]

    @classmethod
    def of(cls, text: str) -> "PackedText":
        """Pack a text."""
        starts = range(0, len(text), _BLOCK_CHARS)
        blocks = (text[start : start + _BLOCK_CHARS].encode() for start in starts)
        return cls(
            len(text),
            tuple(
                (pa.compress(block, codec=_CODEC, asbytes=True), len(block)) for block in blocks
            ),
        )

    def __len__(self) -> int:
        return self.num_chars

    def __getitem__(self, place: slice) -> str:
        start, stop, step = place.indices(self.num_chars)
        assert step == 1, f"a packed text has no slices with steps, got {step}"
        return "".join(
            _unpacked(*self.blocks[at]).decode()[
                max(0, start - at * _BLOCK_CHARS) : stop - at * _BLOCK_CHARS
            ]
            for at in range(start // _BLOCK_CHARS, -(-stop // _BLOCK_CHARS))
        )

    def __str__(self) -> str:
        return self.encode().decode()  # its parts as texts would take as much again

    def __sizeof__(self) -> int:
        return sum(len(packed) for packed, _ in self.blocks)

    def encode(self) -> bytes:
        """Return the text in UTF-8."""
        data = io.BytesIO()  # a join would hold all its parts beside the whole
        data.writelines(_unpacked(*block) for block in self.blocks)
        return data.getvalue()


Text = str | PackedText
"""What a text of any length is held as."""


def packed(text: Text) -> Text:
    """Return a text packed where that takes less: ASCII has a byte a character, and stays."""
    if isinstance(text, PackedText) or text.isascii() or len(text) <= _BLOCK_CHARS:
        return text
    return PackedText.of(text)


def _unpacked(block: bytes, num_bytes: int) -> bytes:
    data: bytes = pa.decompress(block, num_bytes, codec=_CODEC, asbytes=True)
    return data
