{ ... }:
{
  hyperhive.bash.allow = [ "Bash(git diff:*" ];
}
