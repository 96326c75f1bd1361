{ lib, config, ... }:
{
  hyperhive.network.allow = lib.mkMerge [
    [ "github.com" "*.githubusercontent.com" ]
    (lib.mkIf (config.hyperhive.model == "haiku") [ "db.example.org:5432" "[2001:db8::7]:8443" ])
  ];
}
