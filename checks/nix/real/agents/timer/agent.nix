{ ... }:
{
  hyperhive.description = "Works at fixed times";
  hyperhive.prompt = "Works at fixed times.";

  systemd.services.tidy = {
    serviceConfig.Type = "oneshot";
    script = "find /state/tmp -mtime +7 -delete";
  };
  systemd.timers.tidy = {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnCalendar = "daily";
      Persistent = true;
    };
  };
}
