# Directories that must exist before hived starts, and mounts with nosuid and nodev: of agents/ and
# shared/ onto themselves, because containers write there, and of workspaces below a directory that
# only root can enter, from which containers bind them.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  agents = "${cfg.stateDir}/agents";
  shared = "${cfg.stateDir}/shared";
  # Outside every range that a container's users are mapped to (pyglue/host/agents/directories.py).
  unmapped = toString 2147483632;
  agentId = toString cfg.ids.agent;
  workspaces = "/run/hyperhive-workspaces";

  # A path and all directories above it except /.
  parts =
    path:
    let
      names = lib.filter (part: part != "") (lib.splitString "/" path);
    in
    lib.genList (n: "/" + lib.concatStringsSep "/" (lib.take (n + 1) names)) (lib.length names);

  bind = description: what: where: {
    inherit description what where;
    type = "none";
    options = "bind,nosuid,nodev";
    # By default every mount comes before local-fs.target, and tmpfiles after it: a cycle, which
    # systemd breaks by dropping jobs.
    unitConfig.DefaultDependencies = false;
    after = [
      "local-fs.target"
      "systemd-tmpfiles-setup.service"
    ];
    wants = [ "systemd-tmpfiles-setup.service" ];
    before = [ "umount.target" ];
    conflicts = [ "umount.target" ];
  };
in
{
  config = lib.mkIf cfg.enable {
    systemd.tmpfiles.rules = [
      "d ${cfg.stateDir} 0700 root root -"
      "d ${agents} 0755 ${unmapped} ${unmapped} -"
      "d ${shared} 0755 ${agentId} ${agentId} -"
      "d ${workspaces} 0700 root root -"
      # hived may write in these, but could not create them in a read-only /etc and /nix.
      "d /etc/nixos-containers 0755 root root -"
      "d /var/lib/nixos-containers 0700 root root -"
      "d /nix/var/nix/profiles/per-container 0755 root root -"
      "d /nix/var/nix/gcroots/hyperhive 0755 root root -"
      "d /nix/var/nix/gcroots/per-container 0755 root root -"
    ];
    systemd.mounts = [
      (bind "hyperhive agents' directories (nosuid, nodev)" agents agents)
      (bind "hyperhive shared directory (nosuid, nodev)" shared shared)
    ]
    ++ lib.mapAttrsToList (
      name: workspace:
      let
        mount = bind "hyperhive workspace ${name}" workspace.path "${workspaces}/${name}";
      in
      mount
      // {
        unitConfig = mount.unitConfig // {
          AssertPathIsDirectory = workspace.path;
          AssertPathIsSymbolicLink = map (part: "!${part}") (parts workspace.path);
          RequiresMountsFor = [ workspace.path ];
        };
        before = mount.before ++ [ "hived.service" ];
        wantedBy = [ "hived.service" ];
      }
    ) cfg.workspaces;
  };
}
