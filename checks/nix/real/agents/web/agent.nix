{ ... }:
{
  hyperhive.description = "Serves pages";
  hyperhive.prompt = "Serves pages.";

  services.nginx = {
    enable = true;
    virtualHosts.localhost = {
      listen = [
        {
          addr = "127.0.0.1";
          port = 8080;
        }
      ];
      root = "/state/pages";
    };
  };
}
