{ lib, ... }:
{
  hyperhive = {
    allowedTools = lib.lists.unique (lib.lists.sort lib.trivial.lessThan [ "Read" "Edit" "Read" ]);
    env = lib.attrsets.mapAttrs (_: lib.strings.toUpper) { A = "b"; };
    network = lib.options.mkOption { } ? _type;
    model = lib.modules.mkForce "opus";
  };
}
