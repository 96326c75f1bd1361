# What `nix flake check` looks at. All of it is decided by evaluation, so that it
# needs nothing built: a check that fails throws and names what is wrong.
{
  lib,
  evalAgent,
  runCommand,
}:
let
  root = ../..;

  # `wrong` is a list of sentences.
  check =
    name: wrong:
    if wrong == [ ] then
      runCommand "hyperhive-${name}" { } "echo passed > $out"
    else
      throw "${name}: ${lib.concatStringsSep "; " wrong}";

  nixFiles =
    directory:
    lib.concatLists (
      lib.mapAttrsToList (
        name: type:
        if type == "directory" then
          nixFiles (directory + "/${name}")
        else
          lib.optional (lib.hasSuffix ".nix" name) (directory + "/${name}")
      ) (builtins.readDir directory)
    );

  schema = lib.importJSON ../../modules/agent/schema.json;
  written = removeAttrs schema [
    "$comment"
    "$id"
    "$schema"
    "title"
  ];

  cases = lib.filter (lib.hasPrefix "good-") (lib.attrNames (builtins.readDir ./cases));
  recorded = name: lib.importJSON (./cases + "/${name}/expected.json");
  snapshot = import ./snapshots.nix { inherit lib; };
  # See outcome.py: the base is written whole, the others as differences from it.
  base = "good-empty";
  expected = name: if name == base then recorded name else snapshot (recorded base) (recorded name);
  differs =
    name:
    evalAgent { agent = ./cases + "/${name}"; }
    != expected name;

  agents = lib.attrNames (builtins.readDir ../../agents);
  model = name: (evalAgent { agent = ../../agents + "/${name}"; }).manifest.model;
in
{
  # Importing a file parses it.
  parse = check "parse" (
    lib.concatMap (file: lib.optional (builtins.typeOf (import file) == "null") "${toString file} is empty") (
      lib.concatMap nixFiles [
        (root + "/agents")
        (root + "/modules")
        (root + "/checks/nix/nixpkgs-standin")
      ]
    )
  );

  schema = check "schema" (
    lib.optional (
      import ../../modules/agent/docs.nix != written
    ) "modules/agent/schema.json is out of date: run `make generate`"
  );

  corpus = check "corpus" (map (name: "${name} differs from its expected.json") (lib.filter differs cases));

  agents = check "agents" (
    map (name: "${name} names no model") (lib.filter (name: model name == "") agents)
  );
}
