# Agents that the configuration names, and what their containers have in common.
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
              Directory with the agent's `agent.nix` and its files. It is approved when the
              agent is first made; a later change of it is proposed like any other change,
              and never approved by itself. `null`: what comes with the hive under
              that name, as for `manager`, or else the template.
            '';
          };
        }
      );
      default = { };
      example = lib.literalExpression "{ alice.source = ./agents/alice; }";
      description = ''
        Agents that are there from the first start. `manager` is always one of them. Taking
        one out of the configuration does not remove it.
      '';
    };
    containerModules = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = lib.literalExpression "[ ./every-container.nix ]";
      description = ''
        NixOS modules that every agent's system gets, below what its own agent.nix says.
        Each is one file that imports no other.
      '';
    };
    privateUsers = mkOption {
      type = types.strMatching "pick|[1-9][0-9]{0,9}";
      default = "pick";
      example = "1966080";
      description = ''
        User namespace of the containers: `pick` gives each a range of 65536 users of its
        own, a number is where one range begins that all of them share, a multiple of
        65536.
      '';
    };
    networkRanges = mkOption {
      type = types.nonEmptyListOf t.range;
      default = [ "10.231.0.0/16" ];
      example = [ "10.99.0.0/20" ];
      description = ''
        IPv4 ranges that containers with a network (`limits.network`) get addresses from.
        Nothing else on this host may use them.
      '';
    };
  };
}
