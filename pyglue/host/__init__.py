"""hived: the only writer. Packages by domain, each importing only those below it."""
