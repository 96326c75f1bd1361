"""An agent's manifest: what agent.nix evaluates to, and what an approval pins.

``record`` is the pinned record, ``types`` the manifest as types, ``schema`` the check
against the options; ``proposal_checks`` refuses what a type cannot express. The secrets
that an agent uses are in ``exposed_secrets`` and ``injected_secrets``.
"""
