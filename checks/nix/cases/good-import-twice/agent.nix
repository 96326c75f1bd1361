{
  imports = [ ./a.nix ./b.nix ./a.nix ];
}
