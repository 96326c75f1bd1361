"""Imported first by every program: disables garbage collection until it has started.

Imported modules live as long as the process: the collector would examine all of them
repeatedly at the start, and once more at exit. A program imports this module before the
rest of the package, which is why it is not in a subpackage: it comes first in a sorted
list of imports. The program calls ``done`` when its own work begins.
"""

import gc

gc.disable()


def done() -> None:
    """Collect garbage from now on, but never among the objects that exist already.

    Does nothing in a process that collects garbage already, because it only imports a
    program.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
