{ config, ... }:
{
  hyperhive = {
    model = config.hyperhive.modle;
  };
}
