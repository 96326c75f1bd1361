{ ... }:
{
  hyperhive.description = "Reads from the network";
  hyperhive.prompt = "Reads from the network.";
  hyperhive.network = true;

  networking = {
    hosts."192.0.2.1" = [ "files.example.org" ];
    firewall.allowedTCPPorts = [ 8080 ];
  };
}
