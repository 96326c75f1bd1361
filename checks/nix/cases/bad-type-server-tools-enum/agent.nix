{ ... }:
{
  hyperhive = {
    serverTools = [ "shell" ];
  };
}
