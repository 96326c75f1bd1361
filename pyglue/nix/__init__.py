"""Nix, as far as the hive uses it: the restricted evaluator of agent directories.

``evaluator`` runs it, ``fence`` is what keeps a hostile agent.nix in, ``log`` makes
sentences of its errors. Nothing else in the project evaluates what an agent wrote.
"""

from pyglue.nix.evaluator import Evaluation, Evaluator
from pyglue.nix.log import EvalError, Problem

__all__ = ["EvalError", "Evaluation", "Evaluator", "Problem"]
