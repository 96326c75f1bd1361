# The least that a machine needs to be evaluated: the template has the user's own.
{
  boot.loader.grub.device = "nodev";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  nixpkgs.hostPlatform = "x86_64-linux";
}
