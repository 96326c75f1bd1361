# Definitions of nixpkgs' lib: mkIf, mkMerge, priorities and order, and their effect on the
# definitions of one option.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    concatMap
    filter
    length
    map
    sort
    ;
  inherit (lib)
    mkOverride
    showDefs
    showOption
    ;

  kind = value: value._type or "";

  mergeDefinitions =
    loc: type: defs:
    let
      given = concatMap (
        def:
        map (
          value:
          if kind value == "definition" then
            value
          else
            {
              inherit (def) file;
              inherit value;
            }
        ) (addErrorContext "while evaluating definitions from `${def.file}':" (discharge def.value))
      ) defs;
      kept = filterOverrides given;
      defsFinal = if lib.any (def: kind def.value == "order") kept then sortProperties kept else kept;
      isDefined = defsFinal != [ ];
      bad = filter (def: !type.check def.value) defsFinal;
      mergedValue =
        if isDefined then
          if bad == [ ] then
            type.merge loc defsFinal
          else
            throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs bad}"
        else if type.emptyValue ? value then
          type.emptyValue.value
        else
          throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.";
    in
    {
      inherit defsFinal isDefined mergedValue;
      optionalValue = if isDefined then { value = mergedValue; } else { };
    };

  discharge =
    value:
    if kind value == "merge" then
      concatMap discharge value.contents
    else if kind value != "if" then
      [ value ]
    else if !builtins.isBool value.condition then
      throw "‘mkIf’ called with a non-Boolean condition"
    else if value.condition then
      discharge value.content
    else
      [ ];

  filterOverrides =
    defs:
    let
      priority = def: if kind def.value == "override" then def.value.priority else 100;
      strip = def: if kind def.value == "override" then def // { value = def.value.content; } else def;
      highest = lib.foldl' (p: def: lib.min (priority def) p) 9999 defs;
    in
    map strip (if length defs < 2 then defs else filter (def: priority def == highest) defs);

  sortProperties =
    defs:
    let
      strip =
        def:
        if kind def.value == "order" then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def;
    in
    sort (a: b: a.priority or 1000 < b.priority or 1000) (map strip defs);
in
{
  inherit filterOverrides mergeDefinitions sortProperties;
  dischargeProperties = discharge;

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkDefinition = def: def // { _type = "definition"; };
  mkAssert =
    assertion: message:
    lib.mkIf (if assertion then true else throw "\nFailed assertion: ${message}");
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkBefore = lib.mkOrder 500;
  mkAfter = lib.mkOrder 1500;
}
