"""A page of all components, as it should look: its template, and recorded pictures."""
