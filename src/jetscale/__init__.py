"""jetscale: what to pretrain on, how it scales, and how to spend the compute.

In a notebook or a script every command is a function, and its answer a value to print, to show in a
notebook, or to take as a table with ``to_frame()``::

    import jetscale as js

    study = js.load_study("sweeps/quickstart.py")
    js.plan(study)                    what it trains and costs
    js.power(study)                   what it will be able to say
    js.measure(study)                 how diverse its mixtures are, and how near to the task
    js.tune(study)                    learning rates, searched alike for every mixture
    js.run(study)                     train what is missing
    js.status(study)                  the state of every run
    js.runs(study)                    the finished runs, a DataFrame
    js.answer(study)                  what is bought, how it scales, where to spend
    js.paired(study)                  losses compared run by run, no law assumed
    laws = js.fit(study)              L(N, D) and the frontier of each mixture
    js.compare(laws)                  do two mixtures scale differently?
    js.allocate(laws, 1e12)           this many parameters, so many jets, that mixture
    laws.predict(1e6, 1e6)            the loss of a run that nobody has made; laws.plot() draws
    js.make_report(study).write("report.html")
    js.export(study, "best", out="tagger.pt")   the model of a run, and a card beside it
    js.predict("tagger.pt", "jets/test")        what it says of jets; js.load_model opens it

What takes runs takes them as a study, a sweep file, a table of runs in a file or a DataFrame, or as
fitted laws. Everything is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jetscale.analysis import analyse
    from jetscale.classifiers.apply import predict
    from jetscale.classifiers.export import export
    from jetscale.classifiers.model import load_model
    from jetscale.jets.ingest.write import write_jets
    from jetscale.jets.shards import write_shards
    from jetscale.jsonable import as_json
    from jetscale.questions import allocate, answer, compare, fit, make_report, paired, power, table
    from jetscale.scaling import Options, Terms, diagnose
    from jetscale.studies import measure, plan, run, runs, status, tune
    from jetscale.study.load import load_study

__version__ = "0.2.0"
__all__ = ["Options", "Terms", "allocate", "analyse", "answer", "as_json", "compare", "diagnose"]
__all__ += ["export", "fit", "load_model", "load_study", "make_report", "measure", "paired", "plan"]
__all__ += ["power", "predict", "run", "runs", "status", "table", "tune"]
__all__ += ["write_jets", "write_shards"]
_ROOMS = {
    **dict.fromkeys(__all__, "questions"),
    **dict.fromkeys(("measure", "plan", "run", "runs", "status", "tune"), "studies"),
    **dict.fromkeys(("Options", "Terms", "diagnose"), "scaling"),
    **{"analyse": "analysis", "as_json": "jsonable", "load_study": "study.load"},
    **{"export": "classifiers.export", "predict": "classifiers.apply"},
    **{"load_model": "classifiers.model"},
    **{"write_jets": "jets.ingest.write", "write_shards": "jets.shards"},
}


def __getattr__(name: str) -> Any:
    """A name of a room, imported at first use."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'jetscale' has no attribute {name!r}")
    return getattr(import_module(f"jetscale.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
