"""What the UI of MLflow shows of a study at first: the columns of its table of runs, and the order.

MLflow 3 opens a view that is kept as a tag of the experiment where an address names it. Its own
first page is about traces of language models, and its own table has neither loss nor settings.
"""

import json

_NAME = "jetscale"
VIEW_TAG = f"mlflow.sharedViewState.{_NAME}"
_COLUMNS = {
    "metrics.`loss`": 90,
    "params.`mixture`": 90,
    "params.`params`": 85,
    "params.`examples`": 85,
    "params.`seed`": 60,
}
"""Column to its width: together they fit beside the name of a run on a screen of 1280 pixels."""

VIEW = json.dumps(
    {
        "searchFilter": "params.kind = 'finetune'",  # a pretraining has no loss of the task
        "orderByKey": "metrics.`loss`",
        "orderByAsc": True,
        "selectedColumns": [*_COLUMNS],
        "columnOrder": [*_COLUMNS],
        "columnWidths": _COLUMNS,
    }
)
"""The view: fine-tuning runs, the lowest test loss first."""


def address_of(base: str, experiment: str) -> str:
    """Where a server at ``base`` shows the runs of an experiment that has the view.

    >>> address_of("http://127.0.0.1:5000", "1")
    'http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=jetscale'
    """
    page = f"{base}/#/experiments/{experiment}/runs"
    return f"{page}?workflowType=machine_learning&viewStateShareKey={_NAME}"


def address_in(experiment: str, run: str, artifact: str) -> str:
    """The same for an artifact of a run, relative to any page of the UI."""
    return f"#/experiments/{experiment}/runs/{run}/artifacts/{artifact}"
