{ ... }:
{
  hyperhive = {
    prompt = builtins.readFile ./prompt.nix;
  };
}
