{ lib, ... }:
{
  hyperhive.allowedTools = lib.mkBefore [ "Bash" ];
  hyperhive.prompt = lib.mkOrder 10 "first";
}
