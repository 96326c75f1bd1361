"""The sentences of a refusal: which word, why, and what would allow it."""


def named(word: str) -> str:
    """Say that a pattern must name an option."""
    shown = word.partition("=")[0][:40]
    hint = ""
    if len(word) > 2 and not word.startswith("--"):
        hint = " (write short options and their values as separate words)"
    return f"the option {shown!a} must be named by a pattern to be used{hint}"


def unclear(name: str, word: str) -> str:
    """Say that the words after an option are ambiguous."""
    return (
        f"the gate does not know whether {word[:40]!a} of {name[:60]!a} takes a value, "
        "so it cannot tell what a wildcard after it would choose; write a pattern "
        "without '*'"
    )


def runs_others(name: str, hint: str = "") -> str:
    """Say that a program runs others."""
    tail = f", or {hint}" if hint else ""
    return (
        f"{name[:60]!a} runs other commands or changes what they mean, so it needs a "
        f"pattern without '*'{tail}"
    )


def runs_code(name: str, hint: str = "") -> str:
    """Say that a program runs the code that it is given."""
    return (
        f"{name[:60]!a} runs the program that its arguments give, so a pattern must "
        + (hint or f"name the script (as in '{name[:40]} /state/report *')")
    )


def subcommand(name: str, word: str) -> str:
    """Say that a pattern must name a subcommand."""
    return (
        f"'{name} {word[:40]}' is not one of the everyday commands of {name}, so a "
        f"pattern must name it (as in '{name} {word[:40]} *')"
    )


def argument(word: str, why: str) -> str:
    """Say that a pattern must name an argument."""
    return f"{word[:60]!a} {why}, so it must be named by a pattern"
