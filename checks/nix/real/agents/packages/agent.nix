{ pkgs, ... }:
{
  hyperhive.description = "Has programs at hand";
  hyperhive.prompt = "Has programs at hand.";

  environment.systemPackages = with pkgs; [ jq ripgrep fd tree curl ];
}
