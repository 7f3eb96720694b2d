"""What MLflow calls to load a model that `jetscale export --register` gave it.

``mlflow.pyfunc.load_model("models:/NAME/1").predict(frame)`` takes a DataFrame with the columns of
a shard, lists in those of constituents, and gives one with a probability for each class.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from jetscale.classifiers.model import Classifier, load_model


@dataclass(frozen=True, slots=True)
class Served:
    """A model as MLflow wants one."""

    model: Classifier

    def predict(self, frame: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return a probability for each class, a row per example."""
        table = pa.Table.from_pandas(frame, preserve_index=False)
        found = self.model.probabilities(table)
        return pd.DataFrame(found, columns=list(self.model.names), index=frame.index)


def _load_pyfunc(path: str) -> Served:
    """The model in a file; MLflow finds this function by its name."""
    return Served(load_model(path))
