"""An answer as values: a question, whether it is answered, a small table and sentences."""

from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import ClassVar

import pandas as pd

from jetscale.shown import Shown, frame_of, row_of
from jetscale.words import of_quantity

NO_DIFFERENCE = "no difference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question with its answer."""

    question: str
    about: str = ""  # what the numbers are
    answered: bool
    instead: str = "NOT ANSWERED"  # what its title says where it is not
    rows: tuple[tuple[str, ...], ...] = ()  # a small table, its header first
    sentences: tuple[str, ...]

    @property
    def title(self) -> str:
        """The question, and that the runs do not answer it where they do not."""
        what = f"   {self.about}" if self.about else ""
        return f"{self.question}{what}" if self.answered else f"{self.question}   {self.instead}"

    def of(self, quantity: str) -> "Answer":
        """The answer about what stands in the place of a loss."""
        named = partial(of_quantity, quantity=quantity)
        sentences = tuple(map(named, self.sentences))
        return replace(self, question=named(self.question), sentences=sentences)

    @property
    def table(self) -> list[str]:
        """The rows as aligned lines."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        return [
            "  ".join([first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])])
            for first, *cells in self.rows
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeAnswers(Shown):
    """What was bought, how it scales, and where a budget goes."""

    bought: Answer
    scaling: Answer
    budget: Answer
    json_also: ClassVar[tuple[str, ...]] = ("text",)

    @property
    def all(self) -> tuple[Answer, Answer, Answer]:
        """The three, in order."""
        return self.bought, self.scaling, self.budget

    @property
    def text(self) -> str:
        """All of it as plain text, a line for each sentence."""
        blocks = [
            "\n   ".join([f"{place}. {one.title}", *one.table, *one.sentences])
            for place, one in enumerate(self.all, 1)
        ]
        return "\n\n".join(blocks)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per question."""
        rows = (row_of(one) | {"text": "\n".join(one.sentences)} for one in self.all)
        return frame_of(rows, "question about answered instead text")

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"
