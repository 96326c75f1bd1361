{ ... }:
{
  hyperhive.description = "Keeps a database";
  hyperhive.prompt = "Keeps a database.";

  services.postgresql = {
    enable = true;
    ensureDatabases = [ "agent" ];
    ensureUsers = [
      {
        name = "agent";
        ensureDBOwnership = true;
      }
    ];
  };
}
