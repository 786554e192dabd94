"""Takes off what Project Gutenberg wraps around its books; several may stand in one file.

Nothing is dropped that may be the text itself: what stands outside the markers goes only as far as
it is a header or a footer, and front matter goes only where it is short and sure.
"""

import re
from collections.abc import Iterator

_MARKER = re.compile(
    r"^(?:(?P<start>\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG E(?:BOOK|TEXT).*)"
    r"|\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG E(?:BOOK|TEXT)"
    r"|End of (?:the )?Project Gutenberg)",
    re.MULTILINE,
)
_MENTION = re.compile(r"^.*project gutenberg.*$", re.MULTILINE | re.IGNORECASE)
_FIRST_CHAPTER = re.compile(r"^CHAPTER I\b", re.MULTILINE)
_SECOND_CHAPTER = re.compile(r"^[ \t]*CHAPTER II\b", re.MULTILINE)
_MIN_CHAPTER_CHARS = 1_000
"""A heading in the table of contents is followed by the next heading within a line or two."""
_OWN_TEXT_CHARS = 6_000
"""A header or footer names Project Gutenberg more often than that: in the licence of 2011, the
longest one, 2,925 characters lie between two mentions at most. A longer stretch is somebody's."""
_MAX_FRONT_MATTER_CHARS = 5_000
"""Title page and contents; those of `alice` have 88 characters."""
_RUNNING_TEXT = re.compile(r"^.{200}|^(?:.{55,}\n){3}", re.MULTILINE)
"""One line that is a paragraph, or three full lines: no title, no list of chapters."""


def strip_gutenberg(text: str, *, keep_front_matter: bool = False) -> str:
    r"""Return the books of a text alone; without a start and an end marker, the text as it is.

    Books are joined by an empty line. What is returned has no marker any more, so stripping it
    again changes nothing. Front matter (title, author, contents) is what stands before the first
    chapter's heading, "CHAPTER I" at a line's start. It is kept where a book lacks that heading,
    where it is long, and where it has running text.

    Args:
        text: The text; line ends are one line feed.
        keep_front_matter: Whether front matter stays in any case.
    """
    # Each marker has one of them; a gigabyte without is searched in a second, not in a minute.
    if not any(name in text for name in ("PROJECT GUTENBERG", "Project Gutenberg")):
        return text
    pieces = _pieces(text)
    if not pieces:
        return text
    stripped = ((is_book, text[place].strip()) for is_book, place in pieces)
    books = (
        piece if keep_front_matter or not is_book else _without_front_matter(piece)
        for is_book, piece in stripped
    )
    return "\n\n".join(book for book in books if book)


def _pieces(text: str) -> list[tuple[bool, slice]]:
    """Return where what is kept lies, in order, and whether it is a book; none without a pair."""
    outside, start = 0, -1  # where a stretch outside of books begins, and a book, if one is open
    found = []
    has_pair = False
    for marker in _MARKER.finditer(text):
        if marker["start"] is not None:
            if start < 0:
                found += [(False, own) for own in _own_texts(text, outside, marker.start())]
            else:  # a book without an end: the next one's header ends it
                near = max(start, marker.start() - _OWN_TEXT_CHARS)
                header = _MENTION.search(text, near, marker.start())
                found.append((True, slice(start, (header or marker).start())))
            start = marker.end()
        elif start >= 0:
            found.append((True, slice(start, marker.start())))
            outside, start, has_pair = marker.start(), -1, True
    if start >= 0:
        found.append((True, slice(start, None)))
    else:
        found += [(False, own) for own in _own_texts(text, outside, len(text))]
    return found if has_pair else []


def _own_texts(text: str, start: int, stop: int) -> Iterator[slice]:
    """Yield where what is neither header nor footer of a stretch outside of the books lies."""
    for mention in _MENTION.finditer(text, start, stop):
        if mention.start() - start > _OWN_TEXT_CHARS:
            yield slice(start, mention.start())
        start = mention.end()
    if stop - start > _OWN_TEXT_CHARS:
        yield slice(start, stop)


def _without_front_matter(book: str) -> str:
    for heading in _FIRST_CHAPTER.finditer(book, 0, _MAX_FRONT_MATTER_CHARS):
        following = _SECOND_CHAPTER.search(book, heading.end())
        if following is None or following.start() - heading.end() > _MIN_CHAPTER_CHARS:
            is_prose = _RUNNING_TEXT.search(book[: heading.start()])
            return book if is_prose else book[heading.start() :]
    return book
