{ ... }:
{
  hyperhive = {
    bash.allow = [ "git\nrm" ];
  };
}
