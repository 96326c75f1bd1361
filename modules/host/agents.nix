# Agents declared in the configuration, and settings common to all containers.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  t = import ./types.nix { inherit lib; };
in
{
  options.services.hyperhive = {
    agents = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.source = mkOption {
            type = types.nullOr types.path;
            default = null;
            example = lib.literalExpression "./agents/alice";
            description = ''
              Directory with the agent's `agent.nix` and other files. It is approved when the
              agent is first created; later changes to it are proposed like any other change
              and never approved automatically. `null`: the agent of that name included with
              hyperhive, such as `manager`, or else the template.
            '';
          };
        }
      );
      default = { };
      example = lib.literalExpression "{ alice.source = ./agents/alice; }";
      description = ''
        Agents created at the first start; `manager` is always among them. Removing an
        agent from the configuration does not destroy it.
      '';
    };
    containerModules = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = lib.literalExpression "[ ./every-container.nix ]";
      description = ''
        NixOS modules included in every agent's system, with lower priority than the
        agent's own agent.nix. Each is a single file without imports.
      '';
    };
    privateUsers = mkOption {
      type = types.strMatching "pick|[1-9][0-9]{0,9}";
      default = "pick";
      example = "1966080";
      description = ''
        User namespace of the containers. `pick`: each gets its own range of 65536 user IDs.
        A number: the start of one range that all containers share; it must be a multiple
        of 65536.
      '';
    };
    networkRanges = mkOption {
      type = types.nonEmptyListOf t.range;
      default = [ "10.231.0.0/16" ];
      example = [ "10.99.0.0/20" ];
      description = ''
        IPv4 ranges from which containers with network access (`limits.network`) get their
        addresses. Nothing else on this host may use them.
      '';
    };
  };
}
