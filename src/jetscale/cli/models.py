"""The commands ``export`` and ``predict``: the model comes out and is used."""

from pathlib import Path

import click

from jetscale.cli.common import OUT, PATH, cli, doing, json_option, print_json, sweep_argument

_OUT = "File of the model; its card is written beside it. [default: STUDY-KEY.pt or .onnx]"


@cli.command()
@click.argument("run")
@sweep_argument
@click.option("--to", type=click.Choice(["torch", "onnx"]), default="torch", show_default=True)
@click.option("--out", type=OUT, help=_OUT)
@click.option("--register", default="", metavar="NAME", help="Also register it in MLflow so.")
@json_option
def export(run: str, sweep: Path, to: str, out: Path | None, register: str, as_json: bool) -> None:
    """The model of a finished run, as a file.

    RUN is a name, a key or the first letters of one as in `jetscale status`, or best: the lowest
    validation loss. Its weights must have been kept: see keep in the sweep file.

    \b
    Example:
      jetscale export best --to onnx --out tagger.onnx sweeps/quickstart.py
    """
    doing(f"reading the runs of {sweep}")
    import jetscale
    from jetscale.display.models import show_export

    found = jetscale.export(sweep, run, to=to, out=out, register=register)
    return print_json(found) if as_json else show_export(found)


@cli.command()
@click.argument("model", type=PATH)
@click.argument("shards", type=PATH, nargs=-1, required=True)
@click.option("--out", type=OUT, help="Parquet file: a row per jet, a column per class.")
@click.option("--trust", is_flag=True, help="Import the module of your own that MODEL names.")
@json_option
def predict(
    model: Path, shards: tuple[Path, ...], out: Path | None, trust: bool, as_json: bool
) -> None:
    """What a model says of every jet in SHARDS.

    MODEL is a file that `jetscale export --to torch` wrote, SHARDS are shard folders. Rows are in
    the order of the jets. Scores are given where labels are classes of the model.

    \b
    Example:
      jetscale predict tagger.pt jets/test --out predictions.parquet
    """
    doing(f"applying {model}")
    import jetscale
    from jetscale.display.models import show_predictions

    found = jetscale.predict(model, shards, out, trust=trust)
    return print_json(found) if as_json else show_predictions(found)
