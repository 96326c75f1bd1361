# The description of each option, for tools/generate_host_options.py.
let
  lib = import ../eval/lite.nix;

  evaluated = lib.evalModules {
    specialArgs.pkgs = throw "the options of the host are described without pkgs";
    modules = [
      ./options.nix
      ./dashboard.nix
      ./agents.nix
      ./limits.nix
      ./quotas.nix
      { options = (import ./config-file.nix { inherit lib; config = { }; pkgs = { }; }).options; }
      { options = (import ./accounts.nix { inherit lib; config = { }; }).options; }
      { options = (import ./models.nix { inherit lib; config = { }; }).options; }
      { options = (import ./notify.nix { inherit lib; config = { }; }).options; }
    ];
  };

  # A literal expression is shown as text, anything else as its value.
  shown = value: if value._type or "" == "literalExpression" then { inherit (value) text; } else { inherit value; };

  describe =
    path: option:
    [
      {
        name = lib.concatStringsSep "." path;
        type = option.type.description;
        inherit (option) description;
        default =
          if option ? defaultText then
            shown option.defaultText
          else if option ? default then
            shown option.default
          else
            null;
        example = shown option.example;
      }
    ]
    ++ lib.concatMap (module: walk (path ++ [ "<name>" ]) module.options) (
      lib.optionals (option.type.nestedTypes ? elemType && option.type.nestedTypes.elemType.getSubModules != null) option.type.nestedTypes.elemType.getSubModules
    );

  walk =
    path: tree:
    lib.concatMap (
      name:
      let
        here = path ++ [ name ];
        value = tree.${name};
      in
      if lib.isOption value then
        lib.optionals (!(value.internal or false)) (describe here value)
      else
        walk here value
    ) (lib.attrNames tree);
in
walk [ "services" "hyperhive" ] evaluated.options.services.hyperhive
