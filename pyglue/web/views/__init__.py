"""The pages, forms and JSON endpoints; one module a subject, one blueprint each."""
