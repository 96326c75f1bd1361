{ lib, ... }:
{
  hyperhive = {
    prompt = lib.concatLines (lib.imap1 (n: s: "${toString n} ${s}") (lib.splitString "," "a,b,c"));
    description = lib.pipe "  Ab c  " [ lib.trim lib.toLower (lib.replaceStrings [ " " ] [ "-" ]) ];
    limits.turnsPerHour = lib.foldl' lib.max 1 [ 3 9 2 ];
    env = lib.listToAttrs (lib.zipListsWith lib.nameValuePair [ "A" "B" ] [ "1" "2" ]) // lib.optionalAttrs false { C = "3"; };
    mcpServers = lib.genAttrs [ "x" ] (n: { command = n; args = [ (lib.escapeShellArg "a b") (lib.boolToString true) ]; });
  };
}
