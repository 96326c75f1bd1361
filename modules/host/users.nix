# Fixed users: agents have the same ID on the host and in every container, and hived identifies its
# callers by user ID.
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
      (user cfg.ids.agent "hive-agent" "hyperhive agents, in their containers")
      (user cfg.ids.web "hive-web" "hyperhive dashboard")
      (user cfg.ids.relay "hive-relay" "hyperhive model relay")
      {
        # operator.sock belongs to this group. hive-web needs it too; hived recognizes it by its
        # uid, and refuses its calls without a live session.
        users.groups.hive-operators = {
          gid = cfg.ids.operators;
          members = cfg.operators ++ [ "hive-web" ];
        };
        environment.systemPackages = [ cfg.package ];
      }
    ]
  );
}
