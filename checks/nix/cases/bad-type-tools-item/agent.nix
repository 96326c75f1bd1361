{ ... }:
{
  hyperhive = {
    allowedTools = [ "Bash" 5 ];
  };
}
