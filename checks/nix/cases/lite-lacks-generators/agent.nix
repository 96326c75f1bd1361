{ lib, ... }:
{
  hyperhive = {
    prompt = lib.generators.toKeyValue { } { a = 1; };
  };
}
