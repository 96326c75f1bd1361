# For agents with a network: NAT, and rules by which a container reaches only the internet. The
# table comes before NixOS's own firewall, which can refuse more but not allow what is dropped here.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  interfaces = "\"ve-h-*\"";
  ranges = lib.concatStringsSep ", " cfg.networkRanges;

  # This network, private, shared (RFC 6598), loopback, link-local (where clouds keep
  # their metadata), protocol and test ranges, multicast, reserved.
  closed4 = [
    "0.0.0.0/8"
    "10.0.0.0/8"
    "100.64.0.0/10"
    "127.0.0.0/8"
    "169.254.0.0/16"
    "172.16.0.0/12"
    "192.0.0.0/24"
    "192.0.2.0/24"
    "192.88.99.0/24"
    "192.168.0.0/16"
    "198.18.0.0/15"
    "198.51.100.0/24"
    "203.0.113.0/24"
    "224.0.0.0/3"
  ];
in
{
  config = lib.mkIf (cfg.enable && cfg.limits.network == true) {
    networking.nat = {
      enable = true;
      internalIPs = cfg.networkRanges;
    };
    # The containers' units assign the addresses; networkd, if it runs, would treat these interfaces
    # as those of its own containers and assign others.
    systemd.network.networks."05-hyperhive" = {
      matchConfig.Name = "ve-h-*";
      linkConfig.Unmanaged = true;
    };
    networking.nftables.enable = lib.mkDefault true;
    networking.nftables.tables.hyperhive = {
      family = "inet";
      content = ''
        chain input {
          type filter hook input priority filter - 10; policy accept;
          # No service of this host is for agents. Replies to the host's own connections pass.
          iifname ${interfaces} ct state != { established, related } drop
        }
        chain forward {
          type filter hook forward priority filter - 10; policy accept;
          # No connections into a container, least of all from other containers.
          oifname ${interfaces} ct state != { established, related } drop
          iifname ${interfaces} oifname "ve-*" drop
          iifname ${interfaces} oifname "vb-*" drop
          # Containers have no IPv6 address: such packets are forged, and could reach only
          # link-local and unique-local neighbours.
          iifname ${interfaces} meta nfproto ipv6 drop
          # Only under their own addresses.
          iifname ${interfaces} ip saddr != { ${ranges} } drop
          iifname ${interfaces} ip daddr { ${lib.concatStringsSep ", " closed4} } drop
        }
      '';
    };
  };
}
