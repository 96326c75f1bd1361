{ ... }:
{
  hyperhive.description = "Has a shell of its own";
  hyperhive.prompt = "Has a shell of its own.";

  programs.bash.interactiveShellInit = "set -o vi";
  programs.zsh.enable = true;
  environment.variables.EDITOR = "vim";
  environment.shellAliases.ll = "ls -l";
}
