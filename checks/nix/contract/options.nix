# The types of options. Without `nixpkgs`: of those that the stand-in of the host
# declares, which are all that modules/host can set or read, and the paths that
# modules/agent/container.nix sets. With it: of NixOS's own, at `paths`. A part of a path
# that users choose is "<name>".
{
  lib ? import ../../../modules/eval/lite.nix,
  nixpkgs ? null,
  paths ? null,
}:
let
  inherit (builtins) concatMap isAttrs;

  # The types that a value may have, without those around them that allow null.
  inner = type: if type.name == "nullOr" then inner (type.nestedTypes.elemType or type) else type;

  described = option: { kind = (inner option.type).name; };

  # hyperhive's own lib knows none.
  sub = option: (option.type.getSubOptions or (_: { })) [ ];

  # All options below a set of them, with those of submodules.
  walk =
    prefix: options:
    concatMap (
      name:
      let
        option = options.${name};
        here = prefix ++ [ name ];
        nested = walk (here ++ [ "<name>" ]) (removeAttrs (sub option) [ "_module" "_freeformOptions" ]);
      in
      if name == "_module" then
        [ ]
      else if (option._type or null) == "option" then
        [
          {
            path = here;
            inherit option;
          }
        ]
        ++ nested
      else if isAttrs option then
        walk here option
      else
        [ ]
    ) (builtins.attrNames options);

  # The option at or above a path: below it values are free.
  find =
    prefix: options: path:
    let
      name = builtins.head path;
      rest = builtins.tail path;
      here = options.${name} or null;
      nested = removeAttrs (sub here) [ "_module" "_freeformOptions" ];
      at = prefix ++ [ name ];
    in
    if here == null then
      { path = at ++ rest; kind = null; }
    else if (here._type or null) != "option" then
      find at here rest
    else if rest == [ ] || nested == { } then
      { path = at; } // described here
    else
      find (at ++ [ "<name>" ]) nested (builtins.tail rest);

  # Where a module's `config` has values.
  leaves =
    prefix: value:
    if isAttrs value && !(value ? _type) && value != { } then
      concatMap (name: leaves (prefix ++ [ name ]) value.${name}) (builtins.attrNames value)
    else
      [ prefix ];

  stubs = import ../host/stubs.nix { inherit lib; };
  host = (lib.evalModules { modules = [ stubs.module ]; }).options;
  container =
    (import ../../../modules/agent/container.nix {
      manifest.network = true;
      name = "alice";
      manager = false;
      uid = 1;
      framework = "/nowhere";
    } { inherit lib; config.hive = { package = "/hive"; claudeCode = "/cli"; nameservers = [ ]; }; pkgs = { bashInteractive = "/bash"; }; }).config;

  nixos =
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = null;
      modules = [ { nixpkgs.hostPlatform = "x86_64-linux"; } ];
    }).options;
in
if nixpkgs == null then
  {
    host = map (each: { inherit (each) path; } // described each.option) (walk [ ] host);
    container = leaves [ ] container;
  }
else
  map (find [ ] nixos) paths
