{ ... }:
{
  hyperhive = {
    model = [ "haiku" ];
  };
}
