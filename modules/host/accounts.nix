# Accounts that pay for agents, besides that of apiKeyFile and the like. pyglue/config (RelayConfig)
# reads them; LoadCredential passes the credentials to hive-relay.
{ config, lib, ... }:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.hyperhive;

  file =
    what: example:
    mkOption {
      type = types.nullOr types.path;
      default = null;
      inherit example;
      description = "File with ${what}, outside the Nix store; set exactly one of the three.";
    };
  account.options = {
    apiKeyFile = file "an API key" "/run/secrets/anthropic-api-key";
    oauthTokenFile = file "the long-lived token of a Claude subscription" "/run/secrets/claude-oauth-token";
    authTokenFile = file "the bearer token of a gateway" "/run/secrets/gateway-token";
    upstreamUrl = mkOption {
      type = types.str;
      default = "https://api.anthropic.com";
      example = "https://gateway.example.org";
      description = "URL of the model API; this account's credential is sent there.";
    };
  };

  kinds = {
    apiKeyFile = "api_key";
    oauthTokenFile = "subscription";
    authTokenFile = "gateway";
  };
  isSet = path: path != null && toString path != "";
  filesOf = one: lib.filter (name: isSet one.${name}) (lib.attrNames kinds);
  names = lib.attrNames cfg.accounts;
  # The options outside `accounts` are the account "default".
  plain = filesOf cfg;
  all = lib.optionalAttrs (plain != [ ]) { default = cfg; } // cfg.accounts;
  main =
    if cfg.defaultAccount != null then
      cfg.defaultAccount
    else if plain != [ ] || names == [ ] then
      "default"
    else
      lib.head names;
  others = removeAttrs all [ main ];

  credential = one: lib.head (filesOf one ++ [ "apiKeyFile" ]);
  secret = name: if name == "default" then "api-key" else "account-${name}";
  settings = name: one: {
    upstream_url = one.upstreamUrl;
    credential = kinds.${credential one};
    api_key_file = "/run/credentials/hive-relay.service/${secret name}";
  };

  require = assertion: message: { inherit assertion message; };
  option = name: "services.hyperhive.accounts.${name}";
  checks = name: let one = cfg.accounts.${name}; in [
    (require (
      builtins.match "[a-z][a-z0-9-]{0,31}" name != null
    ) "${option name}: invalid name. Use at most 32 lowercase letters, digits and -, beginning with a letter.")
    (require (
      lib.length (filesOf one) == 1
    ) "${option name}: set exactly one of apiKeyFile, oauthTokenFile and authTokenFile.")
    (require (
      !lib.any (file: lib.hasPrefix "${builtins.storeDir}/" (toString one.${file})) (filesOf one)
    ) "${option name} has its credential in the Nix store, which is world-readable. Use a file outside it and quote the path, such as \"/run/secrets/NAME\".")
    (require (
      builtins.match "https://.+|http://127\\.0\\.0\\.1(:[0-9]+)?(/.*)?" one.upstreamUrl != null
    ) "${option name}.upstreamUrl must start with https:// (or http://127.0.0.1), because the credential is sent there.")
  ];
in
{
  options.services.hyperhive = {
    accounts = mkOption {
      type = types.attrsOf (types.submodule account);
      default = { };
      example = literalExpression ''
        {
          research.oauthTokenFile = "/run/secrets/claude-oauth-token";
          gateway = {
            authTokenFile = "/run/secrets/gateway-token";
            upstreamUrl = "https://gateway.example.org";
          };
        }
      '';
      description = ''
        Accounts that pay for agents, by name, besides that of `apiKeyFile`, `oauthTokenFile` or
        `authTokenFile`, which is called `default`. The operator chooses an agent's account with
        `hive account`.
      '';
    };
    defaultAccount = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "research";
      description = ''
        Account of agents for which none was chosen; `null`: `default`, or the only one.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.concatMap checks names ++ [
      (require (
        plain == [ ] || !(cfg.accounts ? default)
      ) "${option "default"}: this is the account of apiKeyFile, oauthTokenFile or authTokenFile. Choose another name.")
      (require (
        cfg.defaultAccount == null || all ? ${cfg.defaultAccount}
      ) "services.hyperhive.defaultAccount is ${toString cfg.defaultAccount}, but there is no such account.")
      (require (
        cfg.defaultAccount != null || plain != [ ] || lib.length names < 2
      ) "services.hyperhive.defaultAccount is not set, but there are several accounts: ${lib.concatStringsSep ", " names}. Set it to one of them.")
    ];
    services.hyperhive.settings.relay = settings main (all.${main} or cfg) // {
      name = main;
      others = lib.mapAttrs settings others;
      scripted = false;
    };
    systemd.services.hive-relay.serviceConfig.LoadCredential = lib.mapAttrsToList (
      name: one: "${secret name}:${toString one.${credential one}}"
    ) all;
  };
}
