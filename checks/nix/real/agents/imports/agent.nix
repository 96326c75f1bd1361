{ ... }:
{
  hyperhive.description = "Is several modules";
  hyperhive.prompt = "Is several modules.";

  imports = [ ./tools.nix ];
  services.journald.extraConfig = "SystemMaxUse=100M";
}
