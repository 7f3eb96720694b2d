"""The three answers on a terminal: at most a screen, and the commands that say more."""

from collections.abc import Mapping

from rich.padding import Padding
from rich.text import Text

from jetscale.answers import ThreeAnswers
from jetscale.display.console import console, say

_INDENT = (0, 0, 0, 3)


def show_answers(found: ThreeAnswers) -> None:
    """Show the three answers, each under its question."""
    for place, one in enumerate(found.all, 1):
        console.print(Text(f"{place}. {one.title}", style="bold"), soft_wrap=True)
        for row in one.table:  # whole, however long a name in it is
            console.print(Text(f"   {row}"), soft_wrap=True)
        for sentence in one.sentences:
            console.print(Padding(Text(sentence), _INDENT))
        say("")


def show_next(commands: Mapping[str, str]) -> None:
    """Show the commands that say more, by what they say."""
    width = max(map(len, commands))
    say("Next")
    for what, command in commands.items():
        say(f"   {what.ljust(width)}   {command}", wrap=False)
