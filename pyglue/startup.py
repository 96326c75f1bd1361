"""What a program imports first: no garbage is collected until it has started.

What it imports stays as long as the process does: the collector would look through all
of it again and again at the start, and once more at the exit. A program imports this
module before the rest of the package, which is why it is in no package of its own: a
sorted list of imports has it first. It calls ``done`` when its own work begins.
"""

import gc

gc.disable()


def done() -> None:
    """Collect garbage from now on, but never among what is there already.

    Does nothing in a process that collects it already: one that only imports a program.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
