# Models of a gateway, with their prices; pyglue/models/configured.py reads them.
{ config, lib, ... }:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.hyperhive;

  price = what: {
    type = types.numbers.between 0 10000;
    example = 0.6;
    description = "US dollars per million tokens ${what}.";
  };
  needed = what: mkOption (price what // { defaultText = literalExpression "must be set"; });
  optional =
    what:
    mkOption (
      price what
      // {
        type = types.nullOr (types.numbers.between 0 10000);
        default = null;
        description = "US dollars per million tokens ${what}; `null`: the price of other input.";
      }
    );

  model.options = {
    id = mkOption {
      type = types.strMatching "[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}";
      defaultText = literalExpression "must be set";
      example = "zai/glm-4.6";
      description = "The gateway's name for the model.";
    };
    inputPerMTok = needed "of input";
    outputPerMTok = needed "of output";
    cacheWritePerMTok = optional "that are written to the prompt cache";
    cacheReadPerMTok = optional "that are read from the prompt cache";
    contextWindow = mkOption {
      type = types.ints.between 16000 1000000;
      default = 200000;
      example = 128000;
      description = ''
        Context window in tokens. Claude Code compacts the session before it is full; for models
        that it does not know, it assumes at most 200000.
      '';
    };
  };

  names = lib.attrNames cfg.models;
  idOf = name: cfg.models.${name}.id;
  twice = lib.filter (name: lib.count (other: idOf other == idOf name) names > 1) names;
  require = assertion: message: { inherit assertion message; };
  checks = name: [
    (require (builtins.match "[a-z0-9][a-z0-9._-]{0,62}" name != null)
      "services.hyperhive.models.${name}: invalid alias. Use at most 63 lowercase letters, digits and . _ -, beginning with a letter or digit."
    )
    (require
      (
        !lib.elem name [
          "best"
          "default"
          "inherit"
          "opusplan"
        ]
        && !lib.hasPrefix "claude-" name
      )
      "services.hyperhive.models.${name}: this alias has another meaning. Choose another name."
    )
    (require (
      !lib.any (other: other != name && idOf other == name) names
    ) "services.hyperhive.models.${name}: another model has this alias as its id. Choose another name.")
  ];
in
{
  options.services.hyperhive.models = mkOption {
    type = types.attrsOf (types.submodule model);
    default = { };
    example = literalExpression ''
      {
        glm = {
          id = "zai/glm-4.6";
          inputPerMTok = 0.6;
          outputPerMTok = 2.2;
          cacheReadPerMTok = 0.11;
        };
      }
    '';
    description = ''
      Additional models, offered by a gateway, by the alias that agents, `hive model` and
      `limits.models` use. Agents' costs are calculated from these prices. A Claude Code alias such
      as `haiku` then refers to this model, also in the CLI's background requests.
    '';
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.concatMap checks names ++ [
      (require (twice == [ ])
        "services.hyperhive.models: ${lib.concatStringsSep ", " twice} have the same id, so its price is unclear. Keep one of them."
      )
    ];
    services.hyperhive.settings.models = lib.mapAttrs (_: model: {
      inherit (model) id;
      input_per_mtok = model.inputPerMTok;
      output_per_mtok = model.outputPerMTok;
      cache_write_per_mtok = model.cacheWritePerMTok;
      cache_read_per_mtok = model.cacheReadPerMTok;
      context_window = model.contextWindow;
    }) cfg.models;
  };
}
