{ ... }:
{
  hyperhive = {
    bash.allow = [ "" ];
  };
}
