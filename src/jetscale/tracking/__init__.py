"""MLflow: mirror of the records, and its UI."""
