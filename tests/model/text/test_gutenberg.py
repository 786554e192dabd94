"""What Gutenberg wraps around its books comes off; the books, and the user's own text, stay."""

import re

import pytest

from model.text.corpus import resolve_corpus
from model.text.gutenberg import strip_gutenberg
from repository import SHARED_CASES

STORY = "Petra opened the silver beacon along the shore, and nobody in the village minded it.\n"
TALE = STORY * 40


def wrapped(book: str, title: str = "A BOOK", licence: str = "licence words\n") -> str:
    return (
        f"The Project Gutenberg eBook of {title}\n\nTitle: {title}\n\n"
        f"*** START OF THE PROJECT GUTENBERG EBOOK {title} ***\n\n{book}\n"
        f"*** END OF THE PROJECT GUTENBERG EBOOK {title} ***\n\n{licence}"
    )


def test_every_book_of_a_file_stays_without_its_header_and_footer() -> None:
    lantern = f"THE LANTERN\n\nContents\n\n CHAPTER I. Dusk\n\nCHAPTER I.\nDusk\n{TALE}"
    books = [lantern, f"CHAPTER I\n\n{TALE}Second.", f"{TALE}Third."]
    together = "\n\n".join(wrapped(book) for book in books)
    stripped = strip_gutenberg(together)
    assert stripped == "\n\n".join([f"CHAPTER I.\nDusk\n{TALE.strip()}", *books[1:]])
    assert strip_gutenberg(stripped) == stripped
    kept = strip_gutenberg(together, keep_front_matter=True)
    assert kept == "\n\n".join([lantern.strip(), *books[1:]])


@pytest.mark.skipif(not SHARED_CASES.is_dir(), reason="the shared inputs are not here")
def test_omnibus_keeps_three_books_and_counts_what_is_removed() -> None:
    path = SHARED_CASES / "omnibus.txt"
    raw, corpus = path.read_text(encoding="utf-8"), resolve_corpus(str(path))
    assert not re.search("gutenberg|licence words", corpus.text, re.IGNORECASE)
    for title in ("LANTERN", "HARBOUR", "KETTLE"):
        _, _, after = raw.partition(f"EBOOK THE {title} ***")
        story = after.partition("*** END")[0]
        assert story[len(story) // 2 :].strip() in corpus.text
    removed = len(raw) - len(corpus.text)
    assert f"{removed:,} of {len(raw):,} characters removed" in corpus.source


def test_markers_of_several_years_and_a_book_without_an_end() -> None:
    old = (
        "Project Gutenberg's Tale, by Nobody\n*** START OF THIS PROJECT GUTENBERG ETEXT TALE ***\n"
        f"{TALE}\nEnd of the Project Gutenberg EBook of Tale\n\n"
        "*** END OF THIS PROJECT GUTENBERG ETEXT TALE ***\nlicence words\n"
    )
    cut_off = wrapped(f"{TALE}Never ended.").partition("*** END")[0]
    stripped = strip_gutenberg(f"{old}\n{cut_off}\n{wrapped(f'{TALE}Last.')}")
    assert stripped == "\n\n".join([TALE.strip(), f"{TALE}Never ended.", f"{TALE}Last."])
    assert strip_gutenberg(cut_off) == cut_off  # no pair


@pytest.mark.parametrize("front", [TALE * 2, "Anna sat down.\n" * 1_000, "word " * 100])
def test_front_matter_that_is_long_or_has_running_text_stays(front: str) -> None:
    book = f"{front}\nCHAPTER I\n{TALE}".strip()
    assert strip_gutenberg(wrapped(book)) == book


def test_nine_tales_of_which_the_last_has_chapters_stay() -> None:
    tales = [f"TALE {number}\n\n{TALE * 5}" for number in range(8)]
    book = "\n\n".join([*tales, f"TALE 8\n\nCHAPTER I\n{TALE}\nCHAPTER II\n{TALE}"]).strip()
    assert strip_gutenberg(wrapped(book)) == book


def test_long_texts_of_others_outside_of_the_books_stay() -> None:
    diary, notes, letters = (f"{word}\n" * 2_000 for word in ("diary", "notes", "letters"))
    text = f"{diary}{wrapped('First.')}Project Gutenberg\n{notes}{wrapped('Second.')}"
    text += f"About Project Gutenberg\n{letters}"
    parts = [diary, "First.", notes, "Second.", letters]
    assert strip_gutenberg(text) == "\n\n".join(part.strip() for part in parts)


def test_text_without_gutenberg_is_itself() -> None:
    for text in (
        "",
        "CHAPTER I\n",
        "\n  spaces stay  \n",
        "*** END OF THE PROJECT GUTENBERG EBOOK",
    ):
        assert strip_gutenberg(text) == text


@pytest.mark.timeout(60)  # where time grows with the square, each takes twenty minutes
@pytest.mark.parametrize(
    "book", ["\n" * 10**6, " " * 10**6, "CHAPTER I\n" * 10**5, "Project Gutenberg " * 50_000]
)
def test_a_megabyte_takes_no_square_of_its_time(book: str) -> None:
    assert strip_gutenberg(f"CHAPTER I{book}") == f"CHAPTER I{book}"
    kept = strip_gutenberg(wrapped(f"CHAPTER I\n{book}The end."))  # blanks at an end are stripped
    assert kept.startswith("CHAPTER I") and kept.endswith("The end.")
    strip_gutenberg(book + wrapped("") + book)
