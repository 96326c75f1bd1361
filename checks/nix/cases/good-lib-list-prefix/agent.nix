{ lib, ... }:
{
  hyperhive.env.A = lib.concatMapStringsSep ":" toString (lib.take 2 (lib.reverseList [ 1 2 3 ]));
}
