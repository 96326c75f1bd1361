# Directories of the host, and the common one of all agents.
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
        also = "It may create, change and delete files of the host there; anyone who runs a program from there may run the agent's code.";
      };
      default = "read";
      description = ''
        The agent's access to the files: `"read"`, or `"write"` with all rights of the directory's
        owner.
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
      Directories of the host that are mounted at `/work/NAME`, by the operator's names for them
      (`services.hyperhive.workspaces`, or `hive workspace add NAME PATH`).
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
      The agent's access to `/shared`, the common directory of all agents: `"read"` or `"write"`.
    '';
    example = "write";
  };
}
