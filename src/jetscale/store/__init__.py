"""Where results lie: files, records and checkpoints of a results folder."""
