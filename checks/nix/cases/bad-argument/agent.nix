{ lib }: { hyperhive.model = "opus"; }
