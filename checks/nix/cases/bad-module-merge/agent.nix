{ lib, ... }: lib.mkMerge [ { hyperhive.model = "opus"; } ]
