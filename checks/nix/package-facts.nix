# What package.nix says, evaluated without nixpkgs: packages are their names, and what
# builds them returns its arguments. Read by test_flake.py.
let
  lib = import ../../modules/eval/lite.nix // {
    licenses.mit = "mit";
    platforms.linux = [ ];
    getExe = package: "/bin/${package}";
  };

  # "aiohttp>=3.10,<4" is aiohttp.
  name = line: builtins.head (builtins.match "([a-z0-9-]+).*" line);

  inherit (lib.importTOML ../../pyproject.toml) project;

  pkgs = lib.genAttrs (map name project.dependencies ++ [
    "setuptools"
    "sniffio"
  ]) (pname: { inherit pname; }) // {
    fetchPypi = arguments: arguments;
    buildPythonPackage = arguments: arguments // { outPath = "/library"; };
    claude-agent-sdk = {
      pname = "claude-agent-sdk";
      overridePythonAttrs = change: { pname = "claude-agent-sdk"; } // change { dependencies = [ ]; };
    };
  };

  package = import ../../package.nix {
    inherit lib;
    python3 = {
      inherit pkgs;
      sitePackages = "lib/site-packages";
      withPackages = _: "/environment";
    };
    runCommand = _: arguments: _: arguments.passthru // { inherit (arguments) version; };
    makeBinaryWrapper = "make-binary-wrapper";
    bubblewrap = "/bubblewrap";
    git = "/git";
    nix = "/nix";
    util-linux = "/util-linux";
    claude-code = "claude";
    bundleClaudeCode = true;
  };
in
{
  inherit (package) programs sdk version;
  dependencies = map (each: each.pname) package.dependencies;
  imports = package.library.pythonImportsCheck;
  source = "${package.library.src}";
  bundled = package.claude-agent-sdk.postInstall;
}
