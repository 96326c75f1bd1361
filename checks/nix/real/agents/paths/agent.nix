{ ... }:
{
  hyperhive.description = "Reacts to files";
  hyperhive.prompt = "Reacts to files.";

  systemd.paths.inbox = {
    wantedBy = [ "multi-user.target" ];
    pathConfig.PathExistsGlob = "/state/inbox/*";
  };
  systemd.services.inbox.script = "mv /state/inbox/* /state/work/";
  systemd.tmpfiles.rules = [
    "d /state/inbox 0755 agent agent -"
    "d /state/work 0755 agent agent -"
  ];
}
