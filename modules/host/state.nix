# Directories that must be there before hived is, and the mount of agents/ onto itself:
# containers write there, and a set-user-id file or a device of theirs means nothing.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  agents = "${cfg.stateDir}/agents";
  # Outside every range that a container's users are mapped to (pyglue/host/agents/directories.py).
  unmapped = toString 2147483632;
in
{
  config = lib.mkIf cfg.enable {
    systemd.tmpfiles.rules = [
      "d ${cfg.stateDir} 0700 root root -"
      "d ${agents} 0755 ${unmapped} ${unmapped} -"
      # hived may write in these, and could not make them in a read-only /etc and /nix.
      "d /etc/nixos-containers 0755 root root -"
      "d /var/lib/nixos-containers 0700 root root -"
      "d /nix/var/nix/profiles/per-container 0755 root root -"
      "d /nix/var/nix/gcroots/hyperhive 0755 root root -"
      "d /nix/var/nix/gcroots/per-container 0755 root root -"
    ];
    systemd.mounts = [
      {
        description = "What hyperhive's agents may write, without devices or set-user-id";
        what = agents;
        where = agents;
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
      }
    ];
  };
}
