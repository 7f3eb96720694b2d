"""The three answers on a terminal: at most a screen, and the commands that say more."""

from collections.abc import Mapping

from jetscale.answers import ThreeAnswers
from jetscale.display.console import say


def show_answers(found: ThreeAnswers) -> None:
    """Show the three answers, each under its question."""
    for place, one in enumerate(found.all, 1):
        say(f"{place}. {one.title}", wrap=False, style="bold")
        for row in one.table:  # whole, however long a name in it is
            say(f"   {row}", wrap=False)
        for sentence in one.sentences:
            say(sentence, indent=3)
        say("")


def show_next(commands: Mapping[str, str]) -> None:
    """Show the commands that say more, by what they say."""
    width = max(map(len, commands))
    say("Next")
    for what, command in commands.items():
        say(f"   {what.ljust(width)}   {command}", wrap=False)
