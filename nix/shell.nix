# The development environment: `nix develop`, then `make test` without .ci/setup, or `pytest`
# itself.
{
  mkShell,
  python3,
  hyperhive,
  bubblewrap,
  chromium,
  git,
  gnumake,
  nix,
  nixfmt,
  ruff,
  util-linux,
}:
mkShell {
  packages = [
    bubblewrap
    chromium
    git
    gnumake
    nix
    nixfmt
    ruff
    util-linux
    (python3.withPackages (
      packages:
      hyperhive.dependencies
      ++ [
        packages.hypothesis
        packages.mypy
        packages.playwright
        packages.pytest
        packages.pytest-asyncio
        packages.pytest-timeout
        packages.pytest-xdist
      ]
      # Not in every nixpkgs. Without the first `pytest` cannot collect
      # checks/unit/web/json/test_openapi.py; without the second, mypy checks less.
      ++ map (name: packages.${name}) (
        builtins.filter (name: packages ? ${name}) [
          "openapi-spec-validator"
          "schemathesis"
          "types-jsonschema"
        ]
      )
    ))
  ];
  shellHook = ''
    export PYTHONPATH=$PWD
    export HIVE_TEST_CHROMIUM=${chromium}/bin/chromium
  '';
}
