{ lib, ... }:
{
  hyperhive = {
    allowedRecipients = lib.mkMerge [ null null ];
    limits.cpuQuota = lib.mkMerge [ null ];
  };
}
