# The part of the module system of nixpkgs' lib that hyperhive's options and agents' files need:
# imports, disabledModules, submodules, freeform types, mkIf, mkMerge, priorities and order. Not
# supported: merging of two declarations of one option, renames, module classes. The order of
# definitions and the errors of options follow nixpkgs: the corpus in checks/nix/cases compares the
# two.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    genericClosure
    head
    isAttrs
    isList
    length
    mapAttrs
    removeAttrs
    seq
    toString
    typeOf
    ;
  inherit (lib)
    imap1
    isFunction
    isOption
    mergeDefinitions
    mkOption
    mkOptionDefault
    recursiveUpdate
    reverseList
    setAttrByPath
    showDefs
    showOption
    types
    zipAttrs
    ;

  pushDownProperties = import ../push-down.nix;

  evalModules =
    arguments@{
      modules,
      prefix ? [ ],
      specialArgs ? { },
      ...
    }:
    let
      internal = {
        _file = "lib/modules.nix";
        key = "lib/modules.nix";
        options._module = {
          args = mkOption { type = types.lazyAttrsOf types.raw; };
          check = mkOption {
            type = types.bool;
            default = true;
          };
          freeformType = mkOption {
            type = types.raw;
            default = null;
          };
        };
      };

      merged = mergeModules prefix (
        reverseList (
          collectModules (modules ++ [ internal ]) (
            { inherit lib options config specialArgs; } // specialArgs
          )
        )
      );
      options = merged.matched;
      declared = valuesOf options;

      config =
        if declared._module.freeformType == null || merged.unmatched == [ ] then
          declared
        else
          recursiveUpdate (declared._module.freeformType.merge prefix (
            map (def: {
              inherit (def) file;
              value = setAttrByPath def.path def.value;
            }) merged.unmatched
          )) declared;

      checked = seq (
        if
          merged.unmatched == [ ]
          || !declared._module.check
          || declared._module.freeformType != null
        then
          null
        else
          throwUnmatched prefix options (head merged.unmatched)
      );
    in
    {
      _type = "configuration";
      options = checked options;
      config = checked (removeAttrs config [ "_module" ]);
      _module = checked config._module;
      extendModules =
        more:
        evalModules (
          arguments
          // {
            modules = modules ++ more.modules or [ ];
            specialArgs = specialArgs // more.specialArgs or { };
            prefix = more.prefix or prefix;
          }
        );
    };

  valuesOf = mapAttrs (_: option: if isOption option then option.value else valuesOf option);

  throwUnmatched =
    prefix: options: def:
    let
      path = prefix ++ def.path;
      siblings = removeAttrs (lib.attrByPath (lib.init def.path) { } options) [ "_module" ];
      nearest = lib.take 3 (lib.sortOn (lib.levenshtein (lib.last def.path)) (attrNames siblings));
      shown = map (name: "`${showOption (lib.init path ++ [ name ])}'") nearest;
      suggestion =
        if shown == [ ] then
          ""
        else if length shown == 1 then
          "\n\nDid you mean ${head shown}?"
        else
          "\n\nDid you mean ${concatStringsSep ", " (lib.init shown)} or ${lib.last shown}?";
    in
    throw "The option `${showOption path}' does not exist. Definition values:${
      showDefs [ def ]
    }${suggestion}";

  # Modules with all their imports, each once, in the order of nixpkgs.
  collectModules =
    modules: args:
    let
      collect =
        file: key: list:
        imap1 (
          n: value:
          let
            module = loadModule args file "${key}:anon-${toString n}" value;
            imported = collect module._file module.key module.imports;
          in
          {
            inherit (module) key;
            inherit module imported;
            disabled = map disabledKey module.disabledModules ++ concatMap (m: m.disabled) imported;
          }
        ) list;
      disabledKey = value: if isAttrs value then value.key else toString value;
      all = collect "<unknown-file>" "" modules;
      disabled = concatMap (m: m.disabled) all;
      enabled = if disabled == [ ] then list: list else filter (m: !elem m.key disabled);
    in
    map (m: m.module) (genericClosure {
      startSet = enabled all;
      operator = m: enabled m.imported;
    });

  loadModule =
    args: file: key: value:
    if isFunction value then
      unifyModuleSyntax file key (applyArgs key value args)
    else if isAttrs value then
      if value._type or "module" == "module" then
        unifyModuleSyntax file key value
      else if elem value._type [ "if" "override" ] then
        unifyModuleSyntax file key { config = value; }
      else
        throw "Expected a module, but found a value of type \"${value._type}\", while trying to load a module into ${file}."
    else if isList value then
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? Definitions: ${
        showDefs [ { inherit file value; } ]
      }"
    else
      let
        path = toString value;
        module = import value;
      in
      unifyModuleSyntax path path (if isFunction module then applyArgs path module args else module);

  # The named arguments of the function are passed lazily: `config` is not known yet.
  applyArgs =
    key: f: args:
    f (
      args
      // mapAttrs (
        name: _:
        addErrorContext "while evaluating the module argument `${name}' in \"${key}\":" (
          args.${name} or args.config._module.args.${name}
        )
      ) (lib.functionArgs f)
    );

  moduleKeys = [
    "_class"
    "_file"
    "key"
    "disabledModules"
    "imports"
    "require"
    "freeformType"
  ];

  unifyModuleSyntax =
    file: key: m:
    let
      explicit = m ? config || m ? options;
      unknown = attrNames (
        removeAttrs m (
          moduleKeys
          ++ [
            "options"
            "config"
            "meta"
          ]
        )
      );
      body =
        if !explicit then
          removeAttrs m moduleKeys
        else if m ? meta then
          lib.mkMerge [
            (m.config or { })
            { inherit (m) meta; }
          ]
        else
          m.config or { };
    in
    if !isAttrs m then
      throw "module ${file} (${key}) does not look like a module."
    else if explicit && unknown != [ ] then
      throw "Module `${key}' has an unsupported attribute `${head unknown}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${toString unknown}) into the explicit `config' attribute."
    else
      {
        _file = toString m._file or file;
        key = toString m.key or key;
        disabledModules = m.disabledModules or [ ];
        imports = m.require or [ ] ++ m.imports or [ ];
        options = m.options or { };
        config =
          if m ? freeformType then
            lib.mkMerge [
              body
              { _module.freeformType = m.freeformType; }
            ]
          else
            body;
      };

  mergeModules =
    prefix: modules:
    mergeTree prefix modules (
      concatMap (
        m:
        map (config: {
          file = m._file;
          inherit config;
        }) (pushDownProperties m.config)
      ) modules
    );

  # One level of the option tree: declarations and definitions by name.
  mergeTree =
    prefix: modules: configs:
    let
      declarations = zipAttrs (
        map (
          m:
          if isAttrs m.options then
            mapAttrs (_: options: {
              inherit (m) _file;
              inherit options;
            }) m.options
          else
            throw "An option declaration for `${concatStringsSep "." prefix}' has type `${typeOf m.options}' rather than an attribute set."
        ) modules
      );

      checkedConfigs = map (
        c:
        if isAttrs c.config then
          c
        else
          throw ''
            In module `${c.file}', you're trying to define a value of type `${typeOf c.config}'
            rather than an attribute set for the option
            `${concatStringsSep "." prefix}'!
          ''
      ) configs;

      definitions = zipAttrs (
        map (
          c:
          mapAttrs (_: value: {
            inherit (c) file;
            inherit value;
          }) c.config
        ) checkedConfigs
      );

      results = mapAttrs (
        name: decls:
        let
          path = prefix ++ [ name ];
          options = filter (d: isOption d.options) decls;
          defs = definitions.${name} or [ ];
        in
        if options == [ ] then
          mergeTree path decls (
            concatMap (
              def:
              map (config: {
                inherit (def) file;
                inherit config;
              }) (pushDownProperties def.value)
            ) defs
          )
        else if length decls > 1 then
          throw "The option `${showOption path}' in `${(head decls)._file}' is already declared in `${(lib.last decls)._file}'."
        else
          {
            matched = evalOption path (head decls) defs;
            unmatched = [ ];
          }
      ) declarations;
    in
    {
      matched = mapAttrs (_: result: result.matched) results;
      unmatched =
        if configs == [ ] then
          [ ]
        else
          concatLists (
            lib.mapAttrsToList
              (
                name: defs:
                map (def: def // { path = [ name ] ++ def.path or [ ]; }) defs
              )
              (
                mapAttrs (_: result: result.unmatched) results // removeAttrs definitions (attrNames results)
              )
          );
    };

  evalOption =
    loc: declaration: defs:
    let
      option = {
        type = types.unspecified;
      }
      // declaration.options;
      defaults =
        if option ? default then
          [
            {
              file = declaration._file;
              value = mkOptionDefault option.default;
            }
          ]
        else
          [ ];
      result =
        if option.readOnly or false && length (defaults ++ defs) > 1 then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs defs}"
        else
          mergeDefinitions loc option.type (defaults ++ defs);
    in
    option
    // {
      inherit loc;
      declarations = [ declaration._file ];
      value = addErrorContext "while evaluating the option `${showOption loc}':" (
        (option.apply or (value: value)) result.mergedValue
      );
      inherit (result) isDefined;
      definitions = map (def: def.value) result.defsFinal;
      files = map (def: def.file) result.defsFinal;
      definitionsWithLocations = result.defsFinal;
    };
in
{
  inherit evalModules unifyModuleSyntax;

  setDefaultModuleLocation = file: module: {
    _file = file;
    imports = [ module ];
  };
}
