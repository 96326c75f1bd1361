{ config, ... }:
{
  hyperhive = {
    prompt = "I am ${config.hyperhive.model} with ${toString (builtins.length config.hyperhive.bash.allow)} patterns.";
    bash.allow = map (command: "git ${command} *") [ "diff" "log" ];
  };
}
