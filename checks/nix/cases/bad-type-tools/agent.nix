{ ... }:
{
  hyperhive = {
    allowedTools = "Bash";
  };
}
