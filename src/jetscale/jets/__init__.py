"""What a jet is and where jets come from: simulation, public files, shard folders."""
