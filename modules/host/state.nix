# Directories that must be there before hived is, and mounts without devices or
# set-user-id: of agents/ and shared/ onto themselves, because containers write there, and
# of workspaces to where only root finds them, for containers to get them from.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  agents = "${cfg.stateDir}/agents";
  shared = "${cfg.stateDir}/shared";
  # Outside every range that a container's users are mapped to (pyglue/host/agents/directories.py).
  unmapped = toString 2147483632;
  agentId = toString cfg.ids.agent;
  workspaces = "/run/hyperhive-workspaces";

  # A path and all above it, but not /.
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
    # The defaults put every mount before local-fs.target, which the making of
    # directories comes after: a circle that systemd breaks by leaving jobs out.
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
      # hived may write in these, and could not make them in a read-only /etc and /nix.
      "d /etc/nixos-containers 0755 root root -"
      "d /var/lib/nixos-containers 0700 root root -"
      "d /nix/var/nix/profiles/per-container 0755 root root -"
      "d /nix/var/nix/gcroots/hyperhive 0755 root root -"
      "d /nix/var/nix/gcroots/per-container 0755 root root -"
    ];
    systemd.mounts = [
      (bind "What hyperhive's agents may write, without devices or set-user-id" agents agents)
      (bind "What hyperhive's agents share, without devices or set-user-id" shared shared)
    ]
    ++ lib.mapAttrsToList (
      name: workspace:
      let
        mount = bind "Workspace ${name} of hyperhive" workspace.path "${workspaces}/${name}";
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
