{ pkgs, ... }:
{
  hyperhive.description = "Works in repositories";
  hyperhive.prompt = "Works in repositories.";

  programs.git = {
    enable = true;
    config.init.defaultBranch = "main";
  };
  environment.systemPackages = [ pkgs.git-lfs ];
}
