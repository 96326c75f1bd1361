"""What a proposal changes in an agent's power, in words; and the operator's limits."""
