{ lib, ... }:
{
  hyperhive = {
    allowedRecipients = [ ];
    serverTools = lib.mkMerge [ ];
  };
}
