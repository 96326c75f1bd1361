# Packages, by name and version only: their programs are links to this machine's.
{
  system ? builtins.currentSystem,
}:
let
  build =
    arguments:
    derivation (
      {
        inherit system;
        builder = "/bin/sh";
        args = [
          "-e"
          "-c"
          arguments.script
        ];
        PATH = "/usr/bin:/bin";
      }
      // removeAttrs arguments [ "script" ]
    )
    // (if arguments ? version then { inherit (arguments) pname version; } else { });

  text =
    name: content:
    build {
      inherit name content;
      script = ''printf '%s' "$content" > $out'';
    };

  package =
    directory: pname: version: programs:
    build {
      name = "${pname}-${version}";
      inherit pname version;
      programs = map (program: "${directory}/${program}") programs;
      script = ''
        mkdir -p $out/bin
        ln -s -t $out/bin $programs
      '';
    };
  usual = package "/usr/bin";
  ours = package "/opt/hive-test/bin";
in
{
  inherit build text;

  runCommand =
    name: env: script:
    build (env // { inherit name script; });

  fetchurl =
    { url, sha256, name ? baseNameOf url }:
    derivation {
      inherit name url system;
      builder = "builtin:fetchurl";
      outputHash = sha256;
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
      urls = [ url ];
      preferLocalBuild = true;
    };

  bashInteractive = usual "bash-interactive" "5.2" [
    "bash"
    "sh"
  ];
  coreutils = usual "coreutils" "9.1" [
    "basename"
    "cat"
    "chmod"
    "cp"
    "cut"
    "date"
    "dirname"
    "echo"
    "env"
    "false"
    "head"
    "id"
    "ln"
    "ls"
    "mkdir"
    "mv"
    "printf"
    "pwd"
    "readlink"
    "rm"
    "sleep"
    "sort"
    "tail"
    "touch"
    "tr"
    "true"
    "uname"
    "wc"
  ];
  git = usual "git" "2.39.5" [ "git" ];
  hello = usual "hello" "2.12" [ "echo" ];
  jq = usual "jq" "1.6" [ "jq" ];
  sqlite = usual "sqlite" "3.40.1" [ "sqlite3" ];

  claude-code = ours "claude-code" "2.0.0" [ "claude" ];
  hyperhive = ours "hyperhive" "0.1.0" [
    "hive-agent"
    "hive-mcp"
  ];
}
