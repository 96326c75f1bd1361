{ config, lib, pkgs, ... }:
{
  options.mine.package = lib.mkOption {
    type = lib.types.package;
    default = pkgs.hello;
  };
  config.environment.systemPackages = [ config.mine.package ];
  config.environment.variables = config.mine.variables;
  config.hyperhive.model = "opus";
}
