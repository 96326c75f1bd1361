{
  imports = [ ./a.nix ./b.nix ];
  hyperhive.allowedTools = [ "Read" ];
  hyperhive.prompt = "agent";
}
