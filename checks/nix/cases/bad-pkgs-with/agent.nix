{ pkgs, ... }:
{
  hyperhive = {
    allowedTools = with pkgs; [ git ];
  };
}
