{ config, ... }:
{
  hyperhive = {
    prompt = config.hyperhive.description; description = config.hyperhive.prompt;
  };
}
