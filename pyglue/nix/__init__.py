"""Nix, as far as the hive uses it: the restricted evaluator of agent directories.

``evaluator`` runs it, ``fence`` confines a hostile agent.nix, ``log`` turns its errors
into sentences. Nothing else in the project evaluates code that an agent wrote.
"""

from pyglue.nix.evaluation import Evaluation
from pyglue.nix.evaluator import Evaluator
from pyglue.nix.log import EvalError, Problem

__all__ = ["EvalError", "Evaluation", "Evaluator", "Problem"]
