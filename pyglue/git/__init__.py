"""The only code that runs git or libgit2 on the host, and only on its own repositories.

Nothing here ever opens a repository that an agent can write. Agents' work arrives as a
pack through ``import_pack`` and leaves as files (``export_tree``), text (``diff``) or
a fresh repository (``copy_config_repo``). Everything blocks; asyncio code calls it
through ``asyncio.to_thread``.

Import the modules by name (``pyglue.git.repos`` and so on): the checking child
imports this package too, and the less it contains, the sooner the child starts.
"""
