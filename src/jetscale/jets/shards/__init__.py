"""Shard folders: jets on disk with a manifest that says what they are."""

from jetscale.jets.shards.manifest import Manifest, Shard, check_roles, open_shards
from jetscale.jets.shards.verify import Report, verify
from jetscale.jets.shards.writer import ShardWriter, shard_writer, write_shards

__all__ = [
    "Manifest",
    "Report",
    "Shard",
    "ShardWriter",
    "check_roles",
    "open_shards",
    "shard_writer",
    "verify",
    "write_shards",
]
