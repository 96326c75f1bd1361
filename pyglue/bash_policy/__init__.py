"""What patterns of the Bash tool let run, for the gate and for approvals.

It is policy, not a wall: it keeps an agent to its task. The wall is the container.
"""
