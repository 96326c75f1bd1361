# Types that several options share. Sizes are powers of 1024, as in an agent.nix.
{ lib }:
let
  inherit (lib) types;

  factor = {
    K = 1024;
    M = 1024 * 1024;
    G = 1024 * 1024 * 1024;
    T = 1024 * 1024 * 1024 * 1024;
  };
in
{
  size = types.strMatching "[1-9][0-9]{0,8}[KMGT]";

  # A size in bytes.
  bytes =
    size:
    lib.toInt (builtins.substring 0 (builtins.stringLength size - 1) size)
    * factor.${builtins.substring (builtins.stringLength size - 1) 1 size};

  # systemd, nspawn and a shell take such a path literally; no part of it begins with a dot or is
  # empty, so that it has only one spelling.
  directory = types.strMatching "(/[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)+";
  word = types.strMatching "[A-Za-z0-9_.+-]+";
  # A program by the only spelling of its path, as in an agent.nix.
  program = types.strMatching "(/[A-Za-z0-9_+-][A-Za-z0-9@%+=:,._-]*)+";
  # A host as in hyperhive.network.allow (pyglue/net/hosts.py).
  host =
    types.strMatching "([*][.])?[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?|\\[[0-9a-f:.]+](:[1-9][0-9]{0,4})?"
    // {
      description = "host such as github.com, *.example.org or db.example.org:5432";
    };
  address = types.strMatching "[0-9A-Fa-f.:]+";
  seconds = types.ints.between 1 604800;
  days = types.ints.between 1 36500;
  trustedDays = types.ints.between 0 90;
  port = types.ints.between 1 65535;
  money = types.numbers.positive;

  range = types.strMatching "(0|[1-9][0-9]{0,2})(\\.(0|[1-9][0-9]{0,2})){3}/(0|[1-9][0-9]?)";

  # Whether a range starts at a multiple of its size and has space for at least one container.
  isWhole =
    range:
    let
      numbers = map lib.toInt (lib.filter lib.isString (builtins.split "[./]" range));
      address = lib.foldl' (sum: number: 256 * sum + number) 0 (lib.init numbers);
      bits = lib.last numbers;
      size = lib.foldl' (sum: _: 2 * sum) 1 (lib.range 1 (32 - bits));
    in
    lib.all (number: number < 256) numbers && bits <= 30 && lib.mod address size == 0;
}
