"""MLflow: a mirror of the records that can be read back, and its UI."""
