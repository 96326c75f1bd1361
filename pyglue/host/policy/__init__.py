"""The effects of a proposal on permissions, in words; and the operator's limits."""
