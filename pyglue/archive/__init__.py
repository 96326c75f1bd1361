"""Archives of an agent and of a whole hive: a strict subset of tar, gzipped.

hived writes them and reads those of agents; ``hive restore-backup`` reads those of
hives, without hived. Any tar program can list them. Names are percent-encoded, so that
every byte that an agent can put into a name survives; the last member, ``index.json``,
has the size and SHA-256 of every other.
"""

from pyglue.archive.index import INDEX, Index, Kind, Member
from pyglue.archive.masked import Hidden
from pyglue.archive.reader import Limits, Places, unpack
from pyglue.archive.tree import Entry, LeftOut, walk
from pyglue.archive.writer import Writer

__all__ = [
    "INDEX",
    "Entry",
    "Hidden",
    "Index",
    "Kind",
    "LeftOut",
    "Limits",
    "Member",
    "Places",
    "Writer",
    "unpack",
    "walk",
]
