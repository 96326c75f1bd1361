"""The pages: one module a page, and how values are shown on them."""
