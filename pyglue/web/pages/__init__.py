"""The pages: one module per page, and the formatting of values."""
