{ config, lib, pkgs, ... }:
{
  hyperhive.model = "sonnet";
  environment.systemPackages = with pkgs; [ git ripgrep ];
  environment.shellInit = "${pkgs.bash}/bin/bash";
  environment.etc."a.conf".text = pkgs.lib.readFile "x";
  systemd.services.job = {
    script = "${lib.getExe pkgs.hello}";
    serviceConfig.User = config.users.users.agent.name;
  };
  users.users.agent.shell = pkgs.zsh;
  networking = lib.mkIf pkgs.stdenv.isLinux { hostName = "x"; };
  programs.git = lib.mkMerge [ { enable = true; } { config.x = 1; } ];
  fonts.packages = lib.mkForce [ pkgs.dejavu ];
  services."odd name".x = 1;
  boot = { };
}
