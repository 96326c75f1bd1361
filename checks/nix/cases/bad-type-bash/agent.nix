{ ... }:
{
  hyperhive = {
    bash = [ "git *" ];
  };
}
