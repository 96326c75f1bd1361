"""Files on the host: places that an agent may write, workspaces, and disk space.

``directory`` is an open directory whose entries are reached by descriptor, ``nofollow``
the only way to a path below which an agent may write; ``workspaces`` has the rules for
workspaces, ``disk_space`` measures and reserves space, ``replace`` writes atomically.
"""
