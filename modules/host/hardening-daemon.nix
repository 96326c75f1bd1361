# For hive-web and the daemons with a network, which start no programs and access no user's files.
import ./hardening.nix
// {
  AmbientCapabilities = "";
  CapabilityBoundingSet = "";
  KeyringMode = "private";
  MemoryDenyWriteExecute = true;
  PrivateUsers = true;
  ProcSubset = "pid";
  ProtectKernelLogs = true;
  ProtectKernelTunables = true;
  ProtectProc = "invisible";
  RestrictNamespaces = true;
  SystemCallFilter = [
    "@system-service"
    "~@privileged @resources"
  ];
}
