# Option types, as far as hyperhive's options and agents' files need them. A type
# here is { name description check merge emptyValue … } without the parts that
# nixpkgs needs for documentation and for merging two declarations.
{ lib }:
let
  inherit (builtins)
    all
    any
    concatLists
    filter
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    length
    mapAttrs
    match
    toString
    ;
  inherit (lib)
    imap1
    isFunction
    mergeDefinitions
    mergeEqualOption
    mergeOneOption
    mkOptionType
    showDefs
    showFiles
    showOption
    ;

  # A phrase put inside another, in parentheses where it could be misread.
  phrase =
    classes: t:
    if builtins.elem (t.descriptionClass or null) classes then t.description else "(${t.description})";

  noun =
    name: description: check: merge:
    mkOptionType {
      inherit name description check merge;
      descriptionClass = "noun";
    };

  both = low: high: "${builtins.toJSON low} and ${builtins.toJSON high} (both inclusive)";

  # `base` with a further check, under another name.
  narrowed =
    base: name: description: check:
    addCheck base check
    // {
      inherit name description;
      descriptionClass = "nonRestrictiveClause";
    };

  addCheck = type: check: type // { check = value: type.check value && check value; };

  integer =
    low: high: name: description:
    narrowed int name "${description}; between ${both low high}" (x: x >= low && x <= high);

  raw = noun "raw" "raw value" (_: true) mergeOneOption;
  bool = noun "bool" "boolean" isBool mergeEqualOption;
  int = noun "int" "signed integer" isInt mergeEqualOption;
  float = noun "float" "floating point number" isFloat mergeEqualOption;
  str = noun "str" "string" isString mergeEqualOption;
  number = either int float;

  strMatching =
    pattern:
    noun "strMatching ${lib.escapeNixString pattern}" "string matching the pattern ${pattern}" (
      value: isString value && match pattern value != null
    ) mergeEqualOption;

  separatedString =
    separator:
    noun "separatedString" "strings concatenated with ${builtins.toJSON separator}" isString (
      _: defs: builtins.concatStringsSep separator (lib.getValues defs)
    );

  pathLike =
    description: check:
    noun "path" description (
      value: lib.isStringLike value && builtins.substring 0 1 (toString value) == "/" && check value
    ) mergeEqualOption;

  listOf =
    each:
    mkOptionType {
      name = "listOf";
      description = "list of ${phrase [ "noun" "composite" ] each}";
      descriptionClass = "composite";
      check = isList;
      merge =
        loc: defs:
        map (item: item.mergedValue) (
          filter (item: item.isDefined) (
            concatLists (
              imap1 (
                n: def:
                imap1 (
                  m: value:
                  mergeDefinitions (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) each [
                    {
                      inherit (def) file;
                      inherit value;
                    }
                  ]
                ) def.value
              ) defs
            )
          )
        );
      emptyValue.value = [ ];
      nestedTypes.elemType = each;
    };

  attrsWith =
    { elemType, lazy ? false, ... }:
    mkOptionType {
      name = if lazy then "lazyAttrsOf" else "attrsOf";
      description = "${if lazy then "lazy " else ""}attribute set of ${phrase [ "noun" "composite" ] elemType}";
      descriptionClass = "composite";
      check = isAttrs;
      merge =
        loc: defs:
        let
          merged = lib.zipAttrsWith (name: mergeDefinitions (loc ++ [ name ]) elemType) (
            map (
              def:
              mapAttrs (_: value: {
                inherit (def) file;
                inherit value;
              }) def.value
            ) defs
          );
        in
        if lazy then
          mapAttrs (_: v: v.optionalValue.value or elemType.emptyValue.value or v.mergedValue) merged
        else
          mapAttrs (_: v: v.mergedValue) (lib.filterAttrs (_: v: v.isDefined) merged);
      emptyValue.value = { };
      nestedTypes = {
        inherit elemType;
      };
    };

  nullOr =
    each:
    mkOptionType {
      name = "nullOr";
      description = "null or ${phrase [ "noun" "conjunction" ] each}";
      descriptionClass = "conjunction";
      check = value: value == null || each.check value;
      merge =
        loc: defs:
        let
          nulls = filter (def: def.value == null) defs;
        in
        if nulls == [ ] then
          each.merge loc defs
        else if length nulls == length defs then
          null
        else
          throw "The option `${showOption loc}` is defined both null and not null, in ${showFiles (lib.getFiles defs)}.";
      emptyValue.value = null;
      nestedTypes.elemType = each;
    };

  either =
    left: right:
    mkOptionType {
      name = "either";
      description =
        if left.descriptionClass or null == "nonRestrictiveClause" then
          "${left.description}, or ${phrase [ "noun" "conjunction" ] right}"
        else
          "${phrase [ "noun" "conjunction" ] left} or ${phrase [ "noun" "conjunction" "composite" ] right}";
      descriptionClass = "conjunction";
      check = value: left.check value || right.check value;
      merge =
        loc: defs:
        if all (def: left.check def.value) defs then
          left.merge loc defs
        else if all (def: right.check def.value) defs then
          right.merge loc defs
        else
          throw "A definition for option `${showOption loc}' is not of type `${left.description}' or `${right.description}'. Definition values:${showDefs defs}";
      nestedTypes = {
        inherit left right;
      };
    };

  submoduleWith =
    {
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
      description ? "submodule",
      ...
    }:
    mkOptionType {
      name = "submodule";
      inherit description;
      check = value: isAttrs value || isFunction value || (pathLike "" (_: true)).check value;
      merge =
        loc: defs:
        (lib.evalModules {
          inherit specialArgs;
          prefix = loc;
          modules =
            modules
            ++ [ { _module.args.name = lib.last loc; } ]
            ++ map (
              { value, file, ... }:
              if isAttrs value && shorthandOnlyDefinesConfig then
                {
                  _file = file;
                  config = value;
                }
              else
                {
                  _file = file;
                  imports = [ value ];
                }
            ) defs;
        }).config;
      emptyValue.value = (lib.evalModules { inherit modules specialArgs; }).config;
      getSubModules = modules;
    };

  anything = noun "anything" "anything" (_: true) (
    loc: defs:
    let
      typeOf = value: if isAttrs value && lib.isStringLike value then "package" else builtins.typeOf value;
      common = typeOf (head defs).value;
    in
    if any (def: typeOf def.value != common) defs then
      throw "The option `${showOption loc}' has conflicting option types in ${showFiles (lib.getFiles defs)}"
    else if common == "set" then
      (attrsWith { elemType = anything; }).merge loc defs
    else if common == "package" then
      mergeOneOption loc defs
    else if common == "lambda" then
      argument:
      anything.merge (loc ++ [ "<function body>" ]) (
        map (def: def // { value = def.value argument; }) defs
      )
    else
      mergeEqualOption loc defs
  );

  enum =
    values:
    let
      show =
        value:
        if isString value then
          ''"${value}"''
        else if isInt value || isBool value then
          builtins.toJSON value
        else
          "<${builtins.typeOf value}>";
    in
    mkOptionType {
      name = "enum";
      description =
        if values == [ ] then
          "impossible (empty enum)"
        else if length values == 1 then
          "value ${show (head values)} (singular enum)"
        else
          "one of ${lib.concatMapStringsSep ", " show values}";
      descriptionClass = if length values < 2 then "noun" else "conjunction";
      check = value: builtins.elem value values;
      merge = mergeEqualOption;
    };
in
{
  inherit
    addCheck
    anything
    attrsWith
    bool
    either
    enum
    float
    int
    listOf
    mkOptionType
    nullOr
    number
    raw
    separatedString
    str
    strMatching
    submoduleWith
    ;

  ints = {
    between =
      low: high:
      assert lib.assertMsg (low <= high) "ints.between: lowest must be smaller than highest";
      addCheck int (x: x >= low && x <= high)
      // {
        name = "intBetween";
        description = "integer between ${both low high}";
      };
    unsigned = narrowed int "unsignedInt" "unsigned integer, meaning >=0" (x: x >= 0);
    positive = narrowed int "positiveInt" "positive integer, meaning >0" (x: x > 0);
    u8 = integer 0 255 "unsignedInt8" "8 bit unsigned integer";
    u16 = integer 0 65535 "unsignedInt16" "16 bit unsigned integer";
    u32 = integer 0 4294967295 "unsignedInt32" "32 bit unsigned integer";
    s8 = integer (-128) 127 "signedInt8" "8 bit signed integer";
    s16 = integer (-32768) 32767 "signedInt16" "16 bit signed integer";
    s32 = integer (-2147483648) 2147483647 "signedInt32" "32 bit signed integer";
  };
  port = integer 0 65535 "unsignedInt16" "16 bit unsigned integer";

  numbers = {
    between =
      low: high:
      assert lib.assertMsg (low <= high) "numbers.between: lowest must be smaller than highest";
      addCheck number (x: x >= low && x <= high)
      // {
        name = "numberBetween";
        description = "integer or floating point number between ${both low high}";
      };
    nonnegative = narrowed number "numberNonnegative" "nonnegative integer or floating point number, meaning >=0" (
      x: x >= 0
    );
    positive = narrowed number "numberPositive" "positive integer or floating point number, meaning >0" (
      x: x > 0
    );
  };

  unspecified = noun "unspecified" "unspecified value" (_: true) lib.mergeDefaultOption;
  boolByOr = noun "boolByOr" "boolean (merged using or)" isBool (
    _: defs: any (def: def.value) defs
  );
  nonEmptyStr = noun "nonEmptyStr" "non-empty string" (
    value: isString value && match "[ \t\n]*" value == null
  ) mergeEqualOption;
  singleLineStr = noun "singleLineStr" "(optionally newline-terminated) single-line string" (
    strMatching "[^\n\r]*\n?"
  ).check (loc: defs: lib.removeSuffix "\n" (mergeEqualOption loc defs));
  lines = separatedString "\n";
  commas = separatedString ",";
  envVar = separatedString ":";

  path = pathLike "absolute path" (_: true);
  externalPath = pathLike "absolute path not in the Nix store" (
    value: isString value && !lib.hasPrefix builtins.storeDir value
  );
  pathInStore = pathLike "path in the Nix store" (
    value: lib.hasPrefix "${builtins.storeDir}/" (toString value)
  );
  package = noun "package" "package" (
    value: lib.isDerivation value || lib.isStorePath value
  ) mergeOneOption;

  attrs = mkOptionType {
    name = "attrs";
    description = "attribute set";
    check = isAttrs;
    merge = _: lib.foldl' (merged: def: merged // def.value) { };
    emptyValue.value = { };
  };
  nonEmptyListOf =
    each:
    addCheck (listOf each) (list: list != [ ])
    // {
      description = "non-empty ${phrase [ "noun" ] (listOf each)}";
      emptyValue = { };
    };
  attrsOf = elemType: attrsWith { inherit elemType; };
  lazyAttrsOf =
    elemType:
    attrsWith {
      inherit elemType;
      lazy = true;
    };

  uniq = lib.types.unique { message = ""; };
  unique =
    { message }:
    type:
    type
    // {
      name = "unique";
      merge = lib.mergeUniqueOption {
        inherit message;
        inherit (type) merge;
      };
    };

  oneOf =
    list:
    if list == [ ] then
      throw "types.oneOf needs to get at least one type in its argument"
    else
      lib.foldl' either (head list) (builtins.tail list);

  coercedTo =
    from: convert: to:
    mkOptionType {
      name = "coercedTo";
      description = "${phrase [ "noun" ] to} or ${phrase [ "noun" ] from} convertible to it";
      check = value: (from.check value && to.check (convert value)) || to.check value;
      merge =
        loc: defs:
        to.merge loc (
          map (def: def // { value = if from.check def.value then convert def.value else def.value; }) defs
        );
      emptyValue = to.emptyValue;
    };

  functionTo =
    each:
    mkOptionType {
      name = "functionTo";
      description = "function that evaluates to a(n) ${phrase [ "noun" "composite" ] each}";
      descriptionClass = "composite";
      check = isFunction;
      merge =
        loc: defs: argument:
        (mergeDefinitions (loc ++ [ "<function body>" ]) each (
          map (def: def // { value = def.value argument; }) defs
        )).mergedValue;
    };

  submodule =
    modules:
    submoduleWith {
      modules = lib.toList modules;
      shorthandOnlyDefinesConfig = true;
    };

  optionType = noun "optionType" "optionType" (lib.isType "option-type") mergeOneOption;
}
