{
  hyperhive.model = "opus";
  hyperhive.allowedTools = [ "Bash" ];
  hyperhive.limits.turnsPerHour = 3;
}
