{ lib, ... }:
{
  hyperhive = {
    description = lib.strings.toCamelCase "some-words";
  };
}
