{ ... }: { hyperhive.model = lib.mkForce "opus"; }
