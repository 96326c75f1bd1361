{ lib, ... }:
{
  options.services.mine.enable = lib.mkEnableOption "mine";
  config.hyperhive.model = "opus";
  config.services.mine.enable = true;
}
