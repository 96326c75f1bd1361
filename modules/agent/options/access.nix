# The type of access to files.
{ t }:
t.oneOf [
  "read"
  "write"
]
