"""What all commands share: the group, the arguments, printing JSON."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import reduce, wraps
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from jetscale import __version__
from jetscale.cli.quantities import COUNT
from jetscale.errors import unknown
from jetscale.machines import Machines
from jetscale.words import counted, printable

if TYPE_CHECKING:
    from jetscale.store.home import Home
    from jetscale.study import Study
    from jetscale.study.search import Search

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


class _NewFile(click.Path):
    """A file to write; its folder is tried before anything is computed for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, where a file can be made beside it."""
        folder = Path(value).parent
        try:
            with TemporaryFile(dir=folder):
                return super().convert(value, param, ctx)
        except OSError as error:
            gone, why = f"there is no folder {folder}; make it first", error.strerror
            refused = f"the folder {folder} cannot be written ({why}); choose another"
            self.fail(refused if folder.is_dir() else gone, param, ctx)


OUT = _NewFile(path_type=Path)

sweep_argument = click.argument("sweep", type=PATH)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


_ADDRESS = "Ray cluster to join, e.g. auto. [default: this machine]"
_DEVICE = "Where to train. [default: on GPUs if there are any]"
_WORKERS = "Workers that train each run together. [default: more than one for the longest]"
_CHECKPOINT = "Between two checkpoints of a run: what a fault costs at most."
_ACROSS = "Let a run that fits no machine have workers on several."


def all_of(*parts: Callable[[F], F]) -> Callable[[F], F]:
    """Return what gives a command several arguments and options, in this order in its help."""
    return lambda command: reduce(lambda made, part: part(made), reversed(parts), command)


device_option = click.option("--device", type=click.Choice(["cpu", "cuda"]), help=_DEVICE)


def machine_options(command: F) -> F:
    """Give a command that trains the options of where and how, passed on as ``machines``."""
    names = [field.name for field in fields(Machines)]

    @wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        chosen = {name: options.pop(name) for name in names}
        return command(*args, machines=Machines(**chosen), **options)

    return cast(
        F,
        all_of(
            click.option("--address", help=_ADDRESS),
            device_option,
            click.option("--workers-per-run", type=COUNT, help=_WORKERS),
            click.option("--across-nodes", is_flag=True, help=_ACROSS),
            click.option(
                "--checkpoint-seconds",
                type=click.FloatRange(min=0),
                default=Machines.checkpoint_seconds,
                show_default=True,
                help=_CHECKPOINT,
            ),
        )(gathered),
    )


def home() -> "Home":
    """The results: folder or address of $JETSCALE_HOME if it is not empty, else ./runs."""
    from jetscale.store.home import Home

    return Home.at()


class _Group(click.Group):
    """Commands in the order of work; an unknown one is answered with the nearest known one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(unknown("command", args[0], sorted(self.commands)))
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """What to pretrain on, how it scales, and how to spend the compute.

    Results go under $JETSCALE_HOME, a folder (default ./runs) or an address such as
    s3://bucket/name. SWEEP is a Python file such as sweeps/quickstart.py.
    """


def print_json(value: Any) -> None:
    """Print any value of jetscale as indented JSON."""
    from jetscale.jsonable import as_json

    click.echo(json.dumps(as_json(value), indent=2, allow_nan=False))


def doing(what: str) -> None:
    """Say on standard error what a command does, unless a program reads: --json, no terminal."""
    asked = click.get_current_context().params.get("as_json")
    if sys.stderr.isatty() or not asked:
        _tell(f"{printable(what)} ...")


def _tell(line: str) -> None:
    click.echo(line, err=True)


def ahead_of(study: "Study", machines: Machines, search: "Search | None" = None) -> None:
    """Say what is still to be done for a study, and how long it takes on this machine's cores."""
    from jetscale.compute.connect import named_cluster
    from jetscale.sweep.ahead import still_ahead

    if (todo := still_ahead(study, home(), search)) is None:
        return
    told = f"study {study.name}: {counted(todo.runs, 'run')} to train"
    here = named_cluster(machines.address) is None and machines.device != "cuda"
    doing(f"{told}, {todo.text}" if here else told)


def warn(lines: list[str]) -> None:
    """Warnings on standard error, a line each."""
    for line in lines:
        click.echo(f"warning: {printable(line)}", err=True)
