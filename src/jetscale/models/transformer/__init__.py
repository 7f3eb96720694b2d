"""The jet transformer: exact counts, packed layout, CPU kernels and the model."""
