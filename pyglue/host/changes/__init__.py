"""From a commit to a running agent: proposal, evaluation, approval, deploy."""
