# The part of nixpkgs' lib that hyperhive's options and agents' files need, for hosts without
# nixpkgs. It is small, because most of an evaluation's time is spent parsing it. A function of
# nixpkgs that it lacks (names.nix lists them) fails with its name and what to do, rather than with
# "attribute missing".
let
  names = import ./lite/names.nix;

  missing =
    name:
    throw "lib.${name} is not in hyperhive's own subset of nixpkgs' lib. Evaluate with all of it: `hive manifest DIR --nixpkgs-lib PATH`, or set the hive's nixpkgs lib path.";

  # A set with every name that nixpkgs has there, with values from `have` if present.
  namespace =
    prefix: have: all:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = have.${name} or (missing (prefix + name));
      }) all
    );

  part = file: import file { inherit lib; };

  types = part ./lite/types-simple.nix // part ./lite/types.nix;

  # Everything, including helpers that nixpkgs does not export; used by lite itself.
  lib =
    part ./lite/functions.nix
    // part ./lite/attrsets.nix
    // part ./lite/strings.nix
    // part ./lite/options.nix
    // part ./lite/properties.nix
    // part ./lite/modules.nix
    // {
      inherit types;
    };

  # Names with another meaning in their part of lib than in lib itself.
  other = {
    lists = [
      "hasPrefix"
      "removePrefix"
    ];
    strings = [ "replicate" ];
  };

  spaces = builtins.mapAttrs (
    space: namespace "${space}." (removeAttrs lib (other.${space} or [ ]))
  ) names.spaces;
in
namespace "" (
  lib
  // spaces
  // {
    types = namespace "types." types names.types;
  }
) names.top
