{
  imports = [ ./a.nix ];
  hyperhive.model = "opus";
  hyperhive.network = true;
}
