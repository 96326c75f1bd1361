{
  imports = [ ./a.nix ];
  hyperhive.model = "opus";
}
