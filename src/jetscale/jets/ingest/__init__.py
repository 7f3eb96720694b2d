"""Public and own files of jets to shard folders."""
