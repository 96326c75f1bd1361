{ lib, ... }:
{
  hyperhive = {
    allowedRecipients = lib.mkMerge [ null [ "alice" ] ];
  };
}
