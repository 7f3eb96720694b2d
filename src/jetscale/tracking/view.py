"""What the UI of MLflow shows of a study at first: the columns of its table of runs, and the order.

MLflow 3 opens a view that is kept as a tag of the experiment where an address names it. Its own
first page is about traces of language models, and its own table has neither loss nor settings.
"""

import json
from typing import Any

_NAME = "jetscale"
VIEW_TAG = f"mlflow.sharedViewState.{_NAME}"
NOTE = "mlflow.note.content"  # what it shows as the description of a run
_COLUMNS = {
    "metrics.`loss`": 75,
    "params.`mixture`": 85,
    "params.`params`": 70,
    "params.`examples`": 80,
    "params.`seed`": 55,
}
"""Column to its width: they fit beside the name at 1400 pixels, MLflow's assistant open."""

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


_TRAINING = "workflowType=machine_learning"


def address_of(base: str, experiment: str, viewed: bool = True) -> str:
    """Where a server at ``base`` shows the runs of an experiment, which may have the view.

    >>> address_of("http://here", "1").replace(_TRAINING, "...")
    'http://here/#/experiments/1/runs?...&viewStateShareKey=jetscale'
    """
    page = f"{base}/#/experiments/{experiment}/runs?{_TRAINING}"
    return f"{page}&viewStateShareKey={_NAME}" if viewed else page


def address_in(experiment: str, run: str, artifact: str = "") -> str:
    """Where any page of the UI finds a run, or an ``artifact`` of it.

    >>> address_in("1", "7e", "report.html")
    '#/experiments/1/runs/7e/artifacts/report.html?workflowType=machine_learning'
    """
    page = f"#/experiments/{experiment}/runs/{run}"
    return f"{page}/artifacts/{artifact}?{_TRAINING}" if artifact else f"{page}?{_TRAINING}"


def set_view(client: Any, experiment: str) -> None:
    """Set what an experiment shows first, unless another process does so at this moment.

    Raises what MLflow raises where the view is not set then.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.set_experiment_tag(experiment, VIEW_TAG, VIEW)
    except MlflowException:  # the second of two that insert the same tag
        if client.get_experiment(experiment).tags.get(VIEW_TAG) != VIEW:
            raise
