{ pkgs, ... }:
{
  hyperhive.description = "Answers on a socket";
  hyperhive.prompt = "Answers on a socket.";

  systemd.sockets.echo = {
    wantedBy = [ "sockets.target" ];
    socketConfig = {
      ListenStream = "/run/echo.sock";
      Accept = true;
    };
  };
  systemd.services."echo@".serviceConfig = {
    ExecStart = "${pkgs.coreutils}/bin/cat";
    StandardInput = "socket";
  };
}
