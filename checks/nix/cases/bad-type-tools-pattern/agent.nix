{ ... }:
{
  hyperhive = {
    allowedTools = [ "Bash(git *)" ];
  };
}
