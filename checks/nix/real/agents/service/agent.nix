{ pkgs, ... }:
{
  hyperhive.description = "Keeps a program running";
  hyperhive.prompt = "Keeps a program running.";

  systemd.services.ticker = {
    description = "Writes the time";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      ExecStart = "${pkgs.coreutils}/bin/tail -f /dev/null";
      DynamicUser = true;
      Restart = "always";
    };
  };
}
