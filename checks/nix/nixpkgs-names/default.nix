# nixpkgs by name only: packages without content, builders that return what they are
# given. With it every output of the flake can be evaluated, and nothing built.
{ system, ... }:
let
  lib = import ../../../modules/eval/lite.nix // {
    licenses.mit = "mit";
    platforms.linux = [ ];
    fetchers.proxyImpureEnvVars = [ "http_proxy" ];
    getName = package: package.pname;
    getExe = package: "/store/${package.pname}/bin/${package.mainProgram or package.pname}";
  };

  named = pname: {
    type = "derivation";
    name = pname;
    outPath = "/store/${pname}";
    drvPath = "/store/${pname}.drv";
    inherit pname system;
  };

  inherit (lib.importTOML ../../../pyproject.toml) project;

  # "aiohttp>=3.10,<4" is aiohttp.
  name = line: builtins.head (builtins.match "([a-z0-9-]+).*" line);

  wanted = map name project.dependencies;
  tools = [
    "hypothesis"
    "mypy"
    "playwright"
    "pytest"
    "pytest-asyncio"
    "pytest-timeout"
    "pytest-xdist"
    "schemathesis"
    "setuptools"
    "sniffio"
    "types-jsonschema"
  ];

  # Every package that has to be there is; of those that may, what is below.
  callPackage =
    file: given:
    let
      function = import file;
      asked = lib.filterAttrs (pname: optional: !optional || pkgs ? ${pname}) (
        builtins.functionArgs function
      );
    in
    function (builtins.mapAttrs (pname: _: pkgs.${pname} or (named pname)) asked // given);

  pkgs = {
    inherit callPackage lib;
    claude-code = named "claude-code" // {
      mainProgram = "claude";
    };
    writeText = pname: content: named pname // { inherit content; };
    testers.runNixOSTest = test: named "vm-test" // { inherit test; };
    nixfmt-tree = named "nixfmt-tree";
    mkShell = arguments: named "shell" // arguments;
    runCommand =
      pname: arguments: script:
      named pname // (arguments.passthru or { }) // { inherit arguments script; };
    python3 = {
      sitePackages = "lib/site-packages";
      withPackages = choose: named "environment" // { chosen = choose pkgs.python3.pkgs; };
      pkgs = lib.genAttrs (wanted ++ tools) named // {
        fetchPypi = arguments: arguments;
        buildPythonPackage = arguments: named arguments.pname // arguments;
        claude-agent-sdk = named "claude-agent-sdk" // {
          overridePythonAttrs = change: named "claude-agent-sdk" // change {
            dependencies = [ ];
            meta.changelog = throw "the changelog of another source";
          };
        };
      };
    };
  };
in
pkgs
