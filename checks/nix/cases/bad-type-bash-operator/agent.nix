{ ... }:
{
  hyperhive = {
    bash.allow = [ "git status; rm" ];
  };
}
