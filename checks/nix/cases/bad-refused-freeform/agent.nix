{ lib, ... }: { freeformType = lib.types.anything; }
