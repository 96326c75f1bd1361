"""The hive's durable state: queue, status and history, in one SQLite file.

``database`` owns the connections; the modules beside it hold the statements, one
module a table. Only hived imports this package, and only this package uses peewee.
Content (commits, pinned records) lives in git; see pyglue.git.
"""
