"""What runs containers: bubblewrap on this machine, or nixos-container."""
