{ ... }:
{
  hyperhive = {
    imports = [ ./x.nix ];
  };
}
