{ ... }:
{
  hyperhive.description = "Runs what another user does";
  hyperhive.prompt = "Runs what another user does.";

  users.users.builder = {
    isSystemUser = true;
    group = "builder";
    home = "/var/lib/builder";
    createHome = true;
  };
  users.groups.builder = { };
}
