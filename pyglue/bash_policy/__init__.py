"""What patterns of the Bash tool allow, for the gate and for approvals.

It is policy, not a boundary: it keeps an agent to its task. The boundary is the
container.
"""
