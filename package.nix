# hyperhive as a package: a Python environment with the library, and in bin/ its
# programs. `pkgs.callPackage ./package.nix { }`; needs nothing but nixpkgs.
{
  lib,
  python3,
  runCommand,
  makeBinaryWrapper,
  installShellFiles,
  nodejs,
  bubblewrap,
  git,
  nix,
  util-linux,
  claude-code ? null,
  # Where no `claude` is on PATH, run nixpkgs' claude-code (its licence is unfree). In a
  # NixOS container `hive.claudeCode` puts one there, so that this can stay off.
  bundleClaudeCode ? false,
}:
let
  inherit (lib.importTOML ./pyproject.toml) project;

  programs = builtins.attrNames project.scripts;

  # The tested version instead of nixpkgs', because its API still changes.
  sdk = {
    version = "0.2.186";
    hash = "sha256-FssBr4MJ03Gq58IUtp0ahfKDpa7Qb8FgVMG8NWyS96M=";
  };

  claude-agent-sdk = python3.pkgs.claude-agent-sdk.overridePythonAttrs (old: {
    inherit (sdk) version;
    src = python3.pkgs.fetchPypi {
      pname = "claude_agent_sdk";
      inherit (sdk) version hash;
    };
    dependencies = old.dependencies ++ [
      python3.pkgs.jsonschema
      python3.pkgs.sniffio
    ];
    doCheck = false;
    # It is derived from a tag that this source does not have.
    meta = removeAttrs old.meta [ "changelog" ];
    # The source comes without a CLI; the harness looks here after PATH.
    postInstall = lib.optionalString bundleClaudeCode ''
      bundled=$out/${python3.sitePackages}/claude_agent_sdk/_bundled
      mkdir -p $bundled
      ln -s ${lib.getExe claude-code} $bundled/claude
    '';
  });

  # Each of pyproject.toml's dependencies; a test compares the two.
  packages = python3.pkgs // {
    inherit claude-agent-sdk;
    # Where nixpkgs has no package of that name, its own grammar has the same module.
    tree-sitter-bash =
      python3.pkgs.tree-sitter-bash or python3.pkgs.tree-sitter-grammars.tree-sitter-bash;
  };
  dependencies = map (name: packages.${name}) [
    "aiohappyeyeballs"
    "aiohttp"
    "apprise"
    "claude-agent-sdk"
    "cryptography"
    "dbus-fast"
    "flask"
    "flask-sock"
    "gunicorn"
    "h11"
    "jsonschema"
    "markdown-it-py"
    "msgspec"
    "oncalendar"
    "peewee"
    "prometheus-client"
    "pygit2"
    "pygments"
    "sdnotify"
    "segno"
    "tree-sitter"
    "tree-sitter-bash"
  ];

  # Only the installed parts of a checkout, without its state and tests.
  src = builtins.path {
    name = "hyperhive-source";
    path = ./.;
    filter =
      path: _:
      let
        inside = lib.removePrefix (toString ./. + "/") (toString path);
        top = builtins.head (lib.splitString "/" inside);
      in
      builtins.elem top [
        "LICENSE"
        "README.md"
        "agents"
        "manual"
        "modules"
        "prompts"
        "pyglue"
        "pyproject.toml"
        "web"
      ]
      && baseNameOf path != "__pycache__"
      && inside != "web/node_modules";
  };

  # The files of web/libraries.json, pinned by web/package-lock.json. The hash covers only these
  # files; a test compares it with npm's installation.
  webLibraries =
    runCommand "hyperhive-web-libraries"
      {
        nativeBuildInputs = [ nodejs ];
        outputHashMode = "recursive";
        outputHash = "sha256-RTjruo4k9KPd83IG3rRT6sxwoD+LDYOJoaaWHaIaU1I=";
        impureEnvVars = lib.fetchers.proxyImpureEnvVars;
      }
      ''
        export HOME=$TMPDIR
        cp ${./web/package.json} package.json
        cp ${./web/package-lock.json} package-lock.json
        npm ci --ignore-scripts --omit=dev --no-audit --no-fund
        for file in ${toString (builtins.attrValues (lib.importJSON ./web/libraries.json))}; do
          mkdir -p $out/$(dirname $file)
          cp node_modules/$file $out/$file
          chmod 444 $out/$file
        done
      '';

  library = python3.pkgs.buildPythonPackage {
    pname = "hyperhive";
    inherit (project) version;
    inherit src dependencies;
    pyproject = true;
    build-system = [ python3.pkgs.setuptools ];
    preBuild = ''
      cp -r ${webLibraries} web/node_modules
      chmod -R u+w web/node_modules
    '';
    postInstall = ''
      mkdir -p $out/share/hyperhive
      cp -r agents manual modules prompts web $out/share/hyperhive/
    '';
    # The tests start sandboxes and systems, which is impossible in a build.
    doCheck = false;
    pythonImportsCheck = [
      "pyglue.cli.hive"
      "pyglue.egress.main"
      "pyglue.harness.main"
      "pyglue.host.main"
      "pyglue.notify.main"
      "pyglue.relay.main"
      "pyglue.web.main"
    ];
    meta = {
      inherit (project) description;
      longDescription = ''
        hived runs agents in NixOS containers. What they are is written in agent.nix files;
        the manager proposes changes to them, and nothing is built or started before an
        operator approves it. The options of the host are in hyperhive.nix(5).
      '';
      license = lib.licenses.mit;
      # To be set when nixpkgs includes this package.
      maintainers = [ ];
      platforms = lib.platforms.linux;
    };
  };

  # A whole environment, because the programs start `sys.executable -m pyglue…`, which must find the
  # library too.
  environment = python3.withPackages (_: [ library ]);

  tools = [
    bubblewrap
    git
    nix
    util-linux
  ];
in
runCommand "hyperhive-${project.version}"
  {
    pname = "hyperhive";
    inherit (project) version;
    nativeBuildInputs = [
      installShellFiles
      makeBinaryWrapper
    ];
    passthru = {
      inherit
        claude-agent-sdk
        dependencies
        environment
        library
        programs
        sdk
        webLibraries
        ;
    };
    meta = library.meta // {
      mainProgram = "hive";
    };
  }
  ''
    mkdir -p $out/bin $out/share/man/man5
    ln -s ${library}/share/hyperhive $out/share/hyperhive
    ln -s ${library}/share/hyperhive/modules/host/hyperhive.nix.5 $out/share/man/man5/
    for program in ${toString programs}; do
      makeWrapper ${environment}/bin/$program $out/bin/$program \
        --set-default HIVE_SHARE $out/share/hyperhive \
        --suffix PATH : ${lib.makeBinPath tools}
    done

    manual=${library}/share/hyperhive/manual
    installManPage $manual/man/*
    for program in hive hive-mcp; do
      completion=$manual/completions/$program
      installShellCompletion --cmd $program \
        --bash $completion.bash --fish $completion.fish --zsh $completion.zsh
    done
  ''
