# The definitions of an agent's modules, as plain { file; config; } with no condition evaluated,
# their declarations, and the names of both outside `hyperhive`.
#
# Both evaluations use this: the manifest's (./report.nix) and the system's (../hive/system.nix). In
# each, evalModules gets only the values that are named here: a module cannot show one set of
# options and set another, even if it detects where it is evaluated.
{
  lib,
  root,
  arguments,
}:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    isAttrs
    removeAttrs
    tryEval
    ;

  modules = import ./collect.nix { inherit lib root arguments; };

  # mkIf and mkMerge at the top of a module are pushed down; no condition is evaluated.
  definitions = concatMap (
    module:
    map (
      config:
      if !isAttrs config then
        throw "In ${module.file} the configuration is of type ${builtins.typeOf config}, not a set of options."
      else if config ? _module then
        throw "${module.file} sets `_module', which an agent's modules cannot: it would change how they are checked. Remove it."
      else if config ? _type then
        throw "${module.file} is a value of type \"${toString config._type}\", not a module. Put it at the options that it is about."
      else
        {
          inherit (module) file;
          inherit config;
        }
    ) (import ./push-down.nix module.config)
  ) modules;

  declarations = filter (module: module.options != { }) modules;

  # Names down to `depth`, through properties; a value that fails is a leaf.
  leaves =
    depth: path: value:
    let
      found = tryEval value;
      set = found.value;
      type = tryEval (set._type or (if set.type or "" == "derivation" then "derivation" else "set"));
      parts = tryEval (if type.value == "merge" then set.contents else [ set.content ]);
    in
    if depth == 0 || !found.success || !isAttrs set || set == { } || !type.success then
      [ path ]
    else if type.value == "set" then
      concatMap (name: leaves (depth - 1) (path ++ [ name ]) set.${name}) (attrNames set)
    else if elem type.value [ "if" "merge" "order" "override" ] && parts.success then
      concatMap (leaves depth path) parts.value
    else
      [ path ];

  under = prefix: set: concatMap (name: leaves 2 (prefix ++ [ name ]) set.${name}) (attrNames set);

  sortedUnique = list: attrNames (lib.genAttrs list (_: null));
in
{
  inherit definitions declarations;

  nixosOptions = sortedUnique (
    map lib.showOption (
      concatMap (definition: under [ ] (removeAttrs definition.config [ "hyperhive" ])) definitions
      ++ concatMap (module: under [ "options" ] module.options) declarations
    )
  );
}
