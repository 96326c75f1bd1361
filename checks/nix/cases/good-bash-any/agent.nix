{ ... }:
{
  hyperhive = {
    allowedTools = [ "Bash" ];
    bash.allow = null;
    bash.write = true;
  };
}
