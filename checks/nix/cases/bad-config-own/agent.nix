{ config, lib, ... }:
{
  options.mine.model = lib.mkOption { default = "opus"; };
  config.hyperhive.model = config.mine.model;
}
