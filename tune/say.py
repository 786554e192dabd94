"""Prints a search's words on its console, as they are."""

from rich.console import Console

from model.shown import shown


def say(console: Console, text: str = "") -> None:
    """Print a text: one line stays one, brackets are no markup, control characters do nothing.

    Errors, names and generated text may hold any of these.
    """
    console.print(shown(text), highlight=False, markup=False, soft_wrap=True)
