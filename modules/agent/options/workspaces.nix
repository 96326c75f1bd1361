# Directories of the host, and the one that all agents have.
{ t }:
let
  inherit (t) option;
  access = import ./access.nix { inherit t; };

  workspace = t.group {
    access = option {
      type = access;
      widens = "access";
      danger = "critical";
      words = {
        name = "access";
        also = "It may create, change and delete files of the host there; whoever runs a program from there runs what the agent wrote.";
      };
      default = "read";
      description = ''
        What the agent may do with the files: `"read"`, or `"write"` for everything that
        the directory's owner may do.
      '';
      example = "write";
    };
  };
in
{
  workspaces = option {
    type = t.named {
      what = "lowercase letters, digits, - and _";
      pattern = "[a-z0-9][a-z0-9_-]*";
      max = 32;
      each = workspace;
    };
    widens = "entry";
    danger = "high";
    words = {
      name = "workspace";
      also = "The agent may read every file of this directory of the host, at /work.";
    };
    default = { };
    description = ''
      Directories of the host that the agent has at `/work/NAME`, by the names that
      the operator gave them (`services.hyperhive.workspaces`, or
      `hive workspace add NAME PATH`).
    '';
    example.site.access = "write";
  };

  shared = option {
    type = access;
    widens = "access";
    danger = "high";
    words = {
      name = "access to /shared";
      on = "May now write in /shared, which every agent reads.";
      off = "May no longer write in /shared, only read.";
    };
    default = "read";
    description = ''
      What the agent may do in `/shared`, the one directory that all agents of the
      hive have: `"read"` or `"write"`.
    '';
    example = "write";
  };
}
