"""Everything that runs on Ray: connections, tasks, trials."""
