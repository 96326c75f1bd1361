"""How untrusted text is shown, and how names are written as text.

``display`` makes hostile text safe for terminals and sentences, by the table of
``invisible`` characters; ``file_names`` encodes names of files, ``option_path`` writes
an option of agent.nix as Nix does.
"""
