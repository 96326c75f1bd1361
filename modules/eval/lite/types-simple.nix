# Option types of one value: numbers, strings, paths, packages, enums.
{ lib }:
let
  inherit (builtins)
    any
    head
    isBool
    isFloat
    isInt
    isString
    length
    match
    toString
    ;
  inherit (lib)
    mergeEqualOption
    mergeOneOption
    mkOptionType
    ;
  inherit (lib.types) addCheck;

  noun =
    name: description: check: merge:
    mkOptionType {
      inherit name description check merge;
      descriptionClass = "noun";
    };

  both = low: high: "${builtins.toJSON low} and ${builtins.toJSON high} (both inclusive)";

  # `base` with an additional check, under another name.
  narrowed =
    base: name: description: check:
    addCheck base check
    // {
      inherit name description;
      descriptionClass = "nonRestrictiveClause";
    };

  integer =
    low: high: name: description:
    narrowed int name "${description}; between ${both low high}" (x: x >= low && x <= high);

  raw = noun "raw" "raw value" (_: true) mergeOneOption;
  bool = noun "bool" "boolean" isBool mergeEqualOption;
  int = noun "int" "signed integer" isInt mergeEqualOption;
  float = noun "float" "floating point number" isFloat mergeEqualOption;
  str = noun "str" "string" isString mergeEqualOption;
  number = lib.types.either int float;

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
    bool
    enum
    float
    int
    number
    raw
    separatedString
    str
    strMatching
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

  optionType = noun "optionType" "optionType" (lib.isType "option-type") mergeOneOption;
}
