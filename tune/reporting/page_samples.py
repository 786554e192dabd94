"""The passages of samples.md, as report.html shows them."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One passage.

    Attributes:
        caption: The heading over it.
        text: The passage itself.
        markdown: All that stands under its heading, the passage included.
        figures: What of that stands below the passage: how good it is.
        how: What samples.md says of all passages: how they were drawn.
    """

    caption: str
    text: str
    markdown: str
    figures: str
    how: str


def passages_of(samples: str) -> list[Passage]:
    """Return the passages of a samples.md, best first; none of an empty text.

    A passage is the first indented block under a heading of the second level.

    Args:
        samples: The file's text.
    """
    # Passages are indented, so a line that begins with ## is a heading.
    head, *sections = re.split(r"^## ", samples, flags=re.MULTILINE)
    how = re.sub(r"^# .*$", "", head, flags=re.MULTILINE).strip()
    found = []
    for section in sections:
        caption, _, body = section.partition("\n")
        block = re.search(r"^ {4}.*(?:\n(?: {4}.*)?)*", body, flags=re.MULTILINE)
        text = re.sub(r"^ {4}", "", block.group(), flags=re.MULTILINE) if block else ""
        name = re.sub(r"^\d+\. ", "", caption.strip())  # without its rank
        passage = Passage(
            caption=name,
            text=text.strip("\n"),
            markdown=body,
            figures=body[block.end() :].strip() if block else "",
            how=how,
        )
        found.append(passage)
    return found
