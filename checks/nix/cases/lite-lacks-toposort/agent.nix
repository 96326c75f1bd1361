{ lib, ... }:
{
  hyperhive = {
    allowedTools = (lib.toposort (a: b: a < b) [ "Read" "Edit" ]).result;
  };
}
