{ lib, ... }:
{
  hyperhive = {
    env = lib.mapAttrs' (n: v: lib.nameValuePair (lib.toUpper n) (toString v)) (lib.filterAttrs (_: v: v > 1) { a = 1; b = 2; c = 3; });
    mcpServers = lib.recursiveUpdate { s = { command = "x"; env.A = "1"; }; } { s.env.B = "2"; };
    prompt = lib.concatStringsSep "\n" (lib.mapAttrsToList (n: v: "${n}=${v}") { x = "1"; y = "2"; });
    description = lib.removeSuffix "!" (lib.removePrefix ">" ">x!") + lib.optionalString (lib.hasInfix "b" "abc") "y";
  };
}
