# Option types that contain others, as far as hyperhive's options and agents' files need them. A
# type here is { name description check merge emptyValue … } without the parts that nixpkgs needs
# for documentation and for merging two declarations.
{ lib }:
let
  inherit (builtins)
    all
    any
    concatLists
    filter
    head
    isAttrs
    isList
    length
    mapAttrs
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

  # A phrase inside another, in parentheses if it could be misread.
  phrase =
    classes: t:
    if builtins.elem (t.descriptionClass or null) classes then t.description else "(${t.description})";

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

  addCheck = type: check: type // { check = value: type.check value && check value; };

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
      check = value: isAttrs value || isFunction value || lib.types.path.check value;
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

  anything = mkOptionType {
    name = "anything";
    descriptionClass = "noun";
    merge = mergeAnything;
  };
  mergeAnything =
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
      mergeEqualOption loc defs;
in
{
  inherit
    addCheck
    anything
    attrsWith
    either
    listOf
    nullOr
    submoduleWith
    ;
  inherit (lib) mkOptionType;

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
}
