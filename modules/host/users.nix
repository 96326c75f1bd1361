# Fixed users: agents have the same id on the host and in every container, and hived
# knows its callers by theirs.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;

  user = uid: name: description: {
    users.users.${name} = {
      inherit uid description;
      group = name;
      isSystemUser = true;
    };
    users.groups.${name}.gid = uid;
  };
in
{
  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      (user cfg.ids.agent "hive-agent" "hyperhive's agents, in their containers")
      (user cfg.ids.web "hive-web" "hyperhive's dashboard")
      (user cfg.ids.relay "hive-relay" "hyperhive's way to the model")
      {
        # operator.sock is this group's. hive-web needs it too; hived tells it by its
        # uid, and answers it nothing without a live session.
        users.groups.hive-operators = {
          gid = cfg.ids.operators;
          members = cfg.operators ++ [ "hive-web" ];
        };
        environment.systemPackages = [ cfg.package ];
      }
    ]
  );
}
