# Value types with their JSON Schema. Each is { type; schema; }: `type` is an ordinary lib.types
# type that checks the bounds (so that a bad value fails with its option's path), `schema` is
# equivalent, for the check outside Nix. Patterns only use syntax common to POSIX extended and
# ECMAScript regexes.
{ lib }:
let
  inherit (lib) types;

  # `$` alone lets Python's `re` accept a trailing newline.
  anchored = pattern: "^(?:${pattern})$(?!\\n)";

  # nixpkgs rebuilds a type that contains a submodule by substSubModules, and would lose the check.
  refine =
    type: description: check:
    types.addCheck type check
    // {
      inherit description;
      substSubModules = modules: refine (type.substSubModules modules) description check;
    };

  nameMax = 64;

  # The schema of a tree of options; groups are plain attribute sets.
  record =
    options:
    let
      all = builtins.foldl' (found: o: found // (o.beside or { })) options (builtins.attrValues options);
    in
    {
      type = "object";
      additionalProperties = false;
      required = builtins.attrNames all;
      properties = builtins.mapAttrs (_: property) all;
    };

  property =
    option:
    if option._type or null != "option" then
      record option
    else
      option.schema
      // {
        inherit (option) description;
        x-widens = option.widens;
      }
      // (if option ? danger then { x-danger = option.danger; } else { })
      // (if option ? words then { x-words = option.words; } else { })
      // (if option ? default then { inherit (option) default; } else { })
      // (if option ? example then { examples = [ option.example ]; } else { });

  named =
    { what, pattern, max, reserved ? [ ], each }:
    let
      good =
        name:
        builtins.stringLength name <= nameMax
        && builtins.match pattern name != null
        && !builtins.elem name reserved;
    in
    {
      type = refine (types.attrsOf each.type) "attribute set of ${each.type.description}, named by ${what}" (
        value: builtins.all good (builtins.attrNames value)
      );
      schema = {
        type = "object";
        additionalProperties = each.schema;
        propertyNames = {
          maxLength = nameMax;
          pattern = anchored pattern;
        }
        // (if reserved == [ ] then { } else { not.enum = reserved; });
        maxProperties = max;
      };
    };

  # Exactly these options. Functions, paths and `_module` are refused, because a module as a value
  # could redeclare the options that check it.
  group = options: {
    type = refine (types.submodule { inherit options; }) "set of options" (
      value: builtins.isAttrs value && !(value ? _module)
    );
    schema = record options;
  };
in
{
  # mkOption with `widens`, `danger` and `words` (how a change of this option affects an agent's
  # permissions, how dangerous that is, and its wording; all listed in options.nix) and the schema
  # of its type.
  option =
    { type, widens, ... }@args:
    let
      own = {
        widens = null;
        danger = null;
        words = null;
      };
    in
    lib.mkOption (removeAttrs args (builtins.attrNames own) // { inherit (type) type; })
    // builtins.intersectAttrs own args
    // builtins.intersectAttrs { beside = null; } type
    // {
      inherit (type) schema;
    };

  flag = {
    type = types.bool;
    schema.type = "boolean";
  };

  # Several definitions must be equal; `max` is in bytes.
  text =
    { what, max, pattern ? null }:
    {
      type = refine types.str "${what} (at most ${toString max} bytes)" (
        value:
        builtins.stringLength value <= max && (pattern == null || builtins.match pattern value != null)
      );
      schema = {
        type = "string";
        maxLength = max;
      }
      // (if pattern == null then { } else { pattern = anchored pattern; });
    };

  # Several definitions are joined with newlines.
  paragraphs =
    { max }:
    {
      type = refine types.lines "text (at most ${toString max} bytes)" (
        value: builtins.stringLength value <= max
      );
      schema = {
        type = "string";
        maxLength = max;
      };
    };

  whole =
    { min, max }:
    {
      type = types.ints.between min max;
      schema = {
        type = "integer";
        minimum = min;
        maximum = max;
      };
    };

  positive =
    { max }:
    {
      type = refine types.number "number above 0 and at most ${toString max}" (
        value: value > 0 && value <= max
      );
      schema = {
        type = "number";
        exclusiveMinimum = 0;
        maximum = max;
      };
    };

  oneOf = values: {
    type = types.enum values;
    schema = {
      type = "string";
      enum = values;
    };
  };

  # Only the schema checks the length, on the merged value.
  list =
    { of, max }:
    {
      type = types.listOf of.type;
      schema = {
        type = "array";
        items = of.schema;
        maxItems = max;
      };
    };

  orNull = of: {
    type = types.nullOr of.type;
    schema = of.schema // {
      type = [
        of.schema.type
        "null"
      ];
    }
    // (if of.schema ? enum then { enum = of.schema.enum ++ [ null ]; } else { });
  };

  # `true`, `false`, or a set with the option `inner`, whose value is named `beside` in the manifest
  # (../eval/report.nix), so that the option itself is always a flag.
  flagOr =
    { inner, beside }:
    {
      type = types.either types.bool (group inner).type;
      schema.type = "boolean";
      beside.${beside} = builtins.head (builtins.attrValues inner);
    };

  inherit group named;
}
