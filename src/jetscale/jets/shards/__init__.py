"""Shard folders: jets, or other examples, on disk with a manifest that says what they are.

`write_shards` makes one of tables of your own, `open_shards` opens it, `verify` reads every byte.
"""

from jetscale.jets.shards.manifest import Manifest, Shard, check_roles, open_shards
from jetscale.jets.shards.verify import Report, verify
from jetscale.jets.shards.writer import ShardWriter, shard_writer, write_shards
