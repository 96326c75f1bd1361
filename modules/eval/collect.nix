# All modules of an agent: agent.nix and its imports inside its directory, each once and in the
# order of nixpkgs' evalModules, as { file; config; options; key; }.
{
  lib,
  root,
  arguments,
}:
let
  inherit (builtins)
    attrNames
    filter
    isAttrs
    isList
    isPath
    isString
    mapAttrs
    removeAttrs
    toString
    typeOf
    ;

  refused = [
    "_class"
    "_file"
    "disabledModules"
    "freeformType"
    "key"
  ];
  structure = [
    "config"
    "imports"
    "meta"
    "options"
    "require"
  ];

  call =
    file: f:
    f (
      arguments
      // mapAttrs (
        name: _:
        arguments.${name}
          or (throw "${file} asks for the argument `${name}', but agent.nix is only given config, lib and pkgs.")
      ) (lib.functionArgs f)
    );

  # A path below the agent's directory, normalised.
  inside =
    file: value:
    let
      path = if isPath value then value else /. + value;
      name = lib.removePrefix "${toString root}/" (toString path);
    in
    if name == toString path then
      throw "${file} imports ${toString value}, which is outside the agent's directory. Copy the file into it."
    else
      {
        inherit path name;
      };

  load =
    file: key: value:
    if isPath value || isString value then
      let
        found = inside file value;
        module = import found.path;
      in
      read found.name (toString found.path) (
        if lib.isFunction module then call found.name module else module
      )
    else if lib.isFunction value then
      read file key (call file value)
    else if isList value then
      throw "${file} has a list inside `imports'. Remove one level of brackets."
    else
      read file key value;

  read =
    file: key: module:
    let
      type = module._type or "module";
      bad = filter (name: module ? ${name}) refused;
      explicit = module ? config || module ? options;
      stray = attrNames (removeAttrs module structure);
    in
    if !isAttrs module then
      throw "${file} does not look like a module: it is of type ${typeOf module}, not a set of options or a function that gives one."
    else if type == "if" || type == "override" then
      {
        inherit file key;
        imported = [ ];
        options = { };
        config = module;
      }
    else if type != "module" then
      throw "${file} is a value of type \"${type}\", not a module. Put it into `config = …;'."
    else if bad != [ ] then
      throw "${file} sets `${builtins.head bad}', which an agent's modules cannot: it would change how they are checked. Remove it."
    else if explicit && stray != [ ] then
      throw "${file} has an unsupported attribute `${builtins.head stray}' beside `config' or `options'. Move it into `config'."
    else if (module.options or { }) ? hyperhive then
      throw "${file} declares `options.hyperhive', but the options of an agent are the hive's own. Remove the declaration."
    else
      {
        inherit file key;
        imported = loadAll file key (module.require or [ ] ++ module.imports or [ ]);
        options = module.options or { };
        config =
          if !explicit then
            removeAttrs module [
              "imports"
              "require"
            ]
          else if module ? meta then
            lib.mkMerge [
              (module.config or { })
              { inherit (module) meta; }
            ]
          else
            module.config or { };
      };

  loadAll =
    file: key:
    lib.imap1 (n: load file "${key}:anon-${toString n}");
in
builtins.genericClosure {
  startSet = loadAll "agent.nix" "" [ (root + "/agent.nix") ];
  operator = module: module.imported;
}
