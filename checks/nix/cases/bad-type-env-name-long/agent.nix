{ ... }:
{
  hyperhive = {
    env.${builtins.concatStringsSep "" (builtins.genList (_: "A") 65)} = "x";
  };
}
