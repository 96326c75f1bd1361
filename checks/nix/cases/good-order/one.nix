{ lib, ... }:
{
  hyperhive.allowedTools = lib.mkAfter [ "Write" ];
  hyperhive.prompt = lib.mkAfter "last";
}
