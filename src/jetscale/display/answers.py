"""The three answers on a terminal: at most a screen, and the commands that say more."""

from collections.abc import Mapping

from rich.padding import Padding
from rich.text import Text

from jetscale.answers import Answer, ThreeAnswers
from jetscale.display.console import console, instead_of_loss, say
from jetscale.words import of_quantity

_INDENT = (0, 0, 0, 3)


def show_answers(found: ThreeAnswers, quantity: str = "loss") -> None:
    """Show the three answers, each under its question."""
    with instead_of_loss(quantity):
        for place, one in enumerate(found.all, 1):
            show_answer(one, f"{place}. ", quantity)
            say("")


def show_answer(one: Answer, number: str = "", quantity: str = "loss") -> None:
    """Show one question with its answer."""
    console.print(Text(of_quantity(f"{number}{one.title}", quantity), style="bold"))
    for line in (*one.table, *one.sentences):
        console.print(Padding(Text(of_quantity(line, quantity)), _INDENT))


def show_next(commands: Mapping[str, str]) -> None:
    """Show the commands that say more, by what they say."""
    width = max(map(len, commands))
    say("Next")
    for what, command in commands.items():
        say(f"   {what.ljust(width)}   {command}", wrap=False)
