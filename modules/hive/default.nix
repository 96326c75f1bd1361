# The systems of a hive's agents, for its generated flake: h-NAME for each directory in agents/.
# pyglue/nix/flake.py writes `directory`, with the settings in hive.json.
{ nixpkgs, directory }:
let
  hive = builtins.fromJSON (builtins.readFile (directory + "/hive.json"));

  configuration = name: {
    name = "h-${name}";
    value =
      let
        here = directory + "/agents/${name}";
        found = import ./system.nix {
          inherit nixpkgs name;
          inherit (hive) system uid;
          modules = map (file: directory + "/modules/${file}") hive.modules;
          agent = here + "/config";
          manifest = builtins.fromJSON (builtins.readFile (here + "/manifest.json"));
          manager = name == "manager";
        };
      in
      {
        config.system.build = { inherit (found) toplevel; };
      };
  };
in
builtins.listToAttrs (map configuration (builtins.attrNames (builtins.readDir (directory + "/agents"))))
