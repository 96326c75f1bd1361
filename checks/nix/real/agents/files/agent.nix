{ ... }:
{
  hyperhive.description = "Has files of its own";
  hyperhive.prompt = "Has files of its own.";

  environment.etc."agent/notes.md".source = ./notes.md;
  environment.etc."agent/settings.json".text = builtins.toJSON { level = 3; };
  security.pki.certificates = [ ];
}
