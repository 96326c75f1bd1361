# The dashboard: its address, its names, and the proxies in front of it.
{ config, lib, ... }:
let
  inherit (lib) literalExpression mkOption types;
  t = import ./types.nix { inherit lib; };
  cfg = config.services.hyperhive.dashboard;
  loopback = lib.hasPrefix "127." cfg.listenAddress || cfg.listenAddress == "::1";
  shown = if lib.hasInfix ":" cfg.listenAddress then "[${cfg.listenAddress}]" else cfg.listenAddress;
in
{
  options.services.hyperhive.dashboard = {
    listenAddress = mkOption {
      type = t.address;
      default = "127.0.0.1";
      example = "192.0.2.10";
      description = ''
        Address that the dashboard listens on. Except for loopback, use `tls` or a proxy:
        otherwise sessions cross the network unencrypted.
      '';
    };
    port = mkOption {
      type = t.port;
      default = 7000;
      example = 443;
      description = "Port that the dashboard listens on.";
    };
    externalUrl = mkOption {
      type = types.nullOr (
        types.strMatching "https?://[A-Za-z0-9.:_-]+|https?://\\[[0-9A-Fa-f:.]+]{1}(:[0-9]+)?"
      );
      default =
        if loopback then
          null
        else
          "${if cfg.tls.certFile == null then "http" else "https"}://${shown}:${toString cfg.port}";
      defaultText = literalExpression ''null on loopback, else "http(s)://''${listenAddress}:''${port}"'';
      example = "https://hive.example.org";
      description = ''
        Address of the dashboard in the operator's browser, without a path; `hive login`
        prints links to it, and sessions exist only there. `null` or a loopback address:
        the hive uses a secret host name, `http://….localhost:PORT`, because browsers
        share the cookies of a common name among all programs on it.
      '';
    };
    trustedHosts = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "hive.example.net" ];
      description = ''
        Additional host names of the dashboard, each with its port unless it is that of
        `externalUrl`. All others are rejected, which prevents DNS rebinding; loopback
        names are never trusted.
      '';
    };
    trustedProxies = mkOption {
      type = types.listOf t.address;
      default = [ ];
      example = [ "127.0.0.1" ];
      description = ''
        Addresses of reverse proxies. `X-Forwarded-For` and `X-Forwarded-Proto` are accepted
        from these addresses only.
      '';
    };
    tls = {
      certFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/var/lib/acme/hive.example.org/fullchain.pem";
        description = ''
          File with the certificate chain; enables https. It is read when `hive-web` starts,
          so restart that unit when the certificate is renewed.
        '';
      };
      keyFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/var/lib/acme/hive.example.org/key.pem";
        description = ''
          File with the certificate's key, outside the Nix store. systemd passes it to
          `hive-web`, so the file may be readable by root only.
        '';
      };
    };
    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to open the dashboard's port in the firewall.";
    };
    agentPorts = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether each agent also has a loopback port that redirects to its page.";
    };
    trustedDays = mkOption {
      type = t.trustedDays;
      default = 7;
      example = 1;
      description = ''
        Days that a session lasts in a browser that the operator chooses to trust at login; other
        sessions last 12 hours. `0` removes the choice. A lower number also shortens existing
        sessions.
      '';
    };
    terminal = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether operators may open a terminal in an agent's container.";
    };
  };
}
