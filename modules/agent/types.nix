# Value types that know their JSON Schema. Each is { type; schema; }: `type` is
# an ordinary lib.types type with the bounds checked (so that a bad value fails
# with its option's path), `schema` says the same for the check outside Nix.
# Patterns are written in what POSIX extended and ECMAScript regexes share.
{ lib }:
let
  inherit (lib) types;

  # `$` alone lets Python's `re` accept a trailing newline.
  anchored = pattern: "^(?:${pattern})$(?!\\n)";

  # nixpkgs rebuilds a type that holds a submodule by substSubModules, and would
  # lose the check on the way.
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

  # Exactly these options. Functions, paths and `_module` are refused, because a
  # module as value could redeclare the options that check it.
  group = options: {
    type = refine (types.submodule { inherit options; }) "set of options" (
      value: builtins.isAttrs value && !(value ? _module)
    );
    schema = record options;
  };
in
{
  # mkOption with `widens`, `danger` and `words` (how a change of this option widens an
  # agent's power, how dangerous that is, and how it is said; all listed in options.nix)
  # and the schema of its type.
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

  # Several definitions must agree; `max` counts bytes.
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

  # The length is checked on the merged value, so only by the schema.
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

  # `true`, `false`, or a set with the option `inner`, whose value the manifest has under
  # the name `beside` (../eval/report.nix), so that the option itself is always a flag.
  flagOr =
    { inner, beside }:
    {
      type = types.either types.bool (group inner).type;
      schema.type = "boolean";
      beside.${beside} = builtins.head (builtins.attrValues inner);
    };

  inherit group named;
}
