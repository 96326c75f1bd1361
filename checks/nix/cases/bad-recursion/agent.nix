{ config, ... }:
{
  hyperhive = {
    model = config.hyperhive.model;
  };
}
