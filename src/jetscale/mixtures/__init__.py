"""Mixtures of jets: exact quotas, prepared streams and their in-process readers."""
