# A minimal machine configuration that evaluates, in place of a user's own.
{
  boot.loader.grub.device = "nodev";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  nixpkgs.hostPlatform = "x86_64-linux";
  system.stateVersion = "26.05";
  users.users.alice = {
    isNormalUser = true;
    extraGroups = [ "wheel" ];
  };
}
