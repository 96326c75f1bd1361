{ pkgs, ... }:
{
  hyperhive.description = "Analyses data";
  hyperhive.prompt = "Analyses data.";

  environment.systemPackages = [
    (pkgs.python3.withPackages (packages: with packages; [ numpy pandas requests ]))
  ];
}
