{ config, ... }:
{
  hyperhive = {
    model = config.networking.hostName;
  };
}
