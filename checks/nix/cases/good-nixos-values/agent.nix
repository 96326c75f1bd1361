{
  time.timeZone = "UTC";
  boot.kernel.sysctl."net.core.somaxconn" = 1;
  services.a = throw "never read";
  services.b = null;
  warnings = [ "w" ];
  meta.doc = ./agent.nix;
}
