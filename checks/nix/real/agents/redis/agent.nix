{ ... }:
{
  hyperhive.description = "Keeps a cache";
  hyperhive.prompt = "Keeps a cache.";

  services.redis.servers.agent = {
    enable = true;
    user = "agent";
    port = 0;
  };
}
