"""A page of all components: its template, and recorded pictures."""
