"""Removes what Project Gutenberg wraps around a book: header, footer and front matter."""

import re

_START = re.compile(r"^\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK.*$", re.MULTILINE)
_END = re.compile(
    r"^(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK|End of (?:the )?Project Gutenberg)",
    re.MULTILINE,
)
_FIRST_CHAPTER = re.compile(r"^CHAPTER I\b", re.MULTILINE)
_SECOND_CHAPTER = re.compile(r"^\s*CHAPTER II\b", re.MULTILINE)
# A heading in the table of contents is followed by the next heading within a line or two.
_MIN_CHAPTER_CHARS = 1_000


def strip_gutenberg(text: str) -> str:
    """Return the book alone; a text without Gutenberg's two markers comes back as it is.

    Front matter (title, author, contents) is what stands before the first chapter's heading,
    "CHAPTER I" at a line's start; a book without that heading keeps its front matter.
    """
    start = _START.search(text)
    end = _END.search(text, start.end()) if start else None
    if start is None or end is None:
        return text
    book = text[start.end() : end.start()].strip()
    for heading in _FIRST_CHAPTER.finditer(book):
        following = _SECOND_CHAPTER.search(book, heading.end())
        if following is None or following.start() - heading.end() > _MIN_CHAPTER_CHARS:
            return book[heading.start() :]
    return book
