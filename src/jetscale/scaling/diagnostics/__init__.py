"""Whether a fit can be trusted: `diagnose.diagnose` runs every check on what `fit` returned."""
