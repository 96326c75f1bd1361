{ ... }:
{
  hyperhive = {
    prompt = [ "a" ];
  };
}
