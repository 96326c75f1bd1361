# Options of nixpkgs' lib: declaring them, merging their definitions and showing
# both in errors.
{ lib }:
let
  inherit (builtins)
    attrNames
    head
    isAttrs
    isList
    isString
    length
    tail
    toString
    ;
in
{
  isOption = lib.isType "option";
  isOptionType = lib.isType "option-type";
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption =
    name:
    lib.mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  literalMD = text: {
    _type = "literalMD";
    inherit text;
  };
  mkOptionType =
    attrs:
    {
      _type = "option-type";
      description = attrs.name;
      descriptionClass = null;
      check = _: true;
      merge = lib.mergeDefaultOption;
      emptyValue = { };
      getSubModules = null;
      substSubModules = _: null;
      nestedTypes = { };
      deprecationMessage = null;
    }
    // attrs;
  getValues = map (def: def.value);
  getFiles = map (def: def.file);
  mergeDefaultOption =
    loc: defs:
    let
      values = lib.getValues defs;
      every = f: builtins.all f values;
    in
    if length values == 1 then
      head values
    else if every lib.isFunction then
      x: lib.mergeDefaultOption loc (map (def: def // { value = def.value x; }) defs)
    else if every isList then
      builtins.concatLists values
    else if every isAttrs then
      lib.mergeAttrsList values
    else if every builtins.isBool then
      builtins.any lib.id values
    else if every isString then
      builtins.concatStringsSep "" values
    else if every builtins.isInt && every (x: x == head values) then
      head values
    else
      throw "Cannot merge definitions of `${lib.showOption loc}'. Definition values:${lib.showDefs defs}";
  mergeOneOption = lib.mergeUniqueOption { message = ""; };
  mergeUniqueOption =
    {
      message,
      merge ? _: defs: (head defs).value,
    }:
    loc: defs:
    if length defs == 1 then
      merge loc defs
    else
      throw "The option `${lib.showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${lib.showDefs defs}\n${lib.prioritySuggestion}";
  mergeEqualOption =
    loc: defs:
    (lib.foldl' (
      first: def:
      if def.value == first.value then
        first
      else
        throw "The option `${lib.showOption loc}' has conflicting definition values:${
          lib.showDefs [
            first
            def
          ]
        }\n${lib.prioritySuggestion}"
    ) (head defs) (tail defs)).value;
  prioritySuggestion = "Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";
  unknownModule = "<unknown-file>";
  showFiles = files: builtins.concatStringsSep " and " (map (file: "`${file}'") files);
  showOption =
    path:
    lib.concatMapStringsSep "." (
      part:
      if part == "*" || builtins.match "<(.*)>" part != null then
        part
      else
        lib.escapeNixIdentifier part
    ) path;
  # Values of definitions for an error, each truncated to one line.
  showDefs = lib.concatMapStrings (
    def:
    let
      shown = builtins.tryEval (
        let
          text = lib.showValue 3 def.value;
        in
        builtins.deepSeq text text
      );
    in
    "\n- In `${toString def.file}'${if shown.success then ": ${shown.value}" else ""}"
  );
  showValue =
    depth: value:
    let
      deeper = lib.showValue (depth - 1);
      some = f: list: map f (lib.take 5 list) ++ lib.optional (length list > 5) "...";
      wrap = open: parts: close: builtins.concatStringsSep " " ([ open ] ++ parts ++ [ close ]);
    in
    if isString value then
      lib.escapeNixString (builtins.unsafeDiscardStringContext (builtins.substring 0 200 value))
    else if lib.isFunction value then
      "<function>"
    else if lib.isDerivation value then
      "<derivation>"
    else if isList value || isAttrs value then
      if value == [ ] || value == { } then
        if isList value then "[ ]" else "{ }"
      else if depth == 0 then
        "..."
      else if isList value then
        wrap "[" (some deeper value) "]"
      else
        wrap "{" (some (name: "${lib.escapeNixIdentifier name} = ${deeper value.${name}};") (
          attrNames value
        )) "}"
    else if builtins.isPath value then
      toString value
    else
      builtins.toJSON value;
}
