{ ... }:
{
  hyperhive = {
    bash.allow = [ "git  status" ];
  };
}
