# Attribute sets of nixpkgs' lib, by the same names.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elemAt
    filter
    head
    isAttrs
    length
    listToAttrs
    mapAttrs
    removeAttrs
    tail
    ;
in
{
  nameValuePair = name: value: { inherit name value; };
  optionalAttrs = condition: set: if condition then set else { };
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if set ? ${head path} then
      lib.attrByPath (tail path) default set.${head path}
    else
      default;
  hasAttrByPath =
    path: set:
    path == [ ] || set ? ${head path} && lib.hasAttrByPath (tail path) set.${head path};
  setAttrByPath =
    path: value: if path == [ ] then value else { ${head path} = lib.setAttrByPath (tail path) value; };
  getAttrFromPath =
    path:
    lib.attrByPath path (
      abort "cannot find attribute '${builtins.concatStringsSep "." path}'"
    );
  attrVals = names: set: map (name: set.${name}) names;
  getAttrs = names: set: lib.genAttrs names (name: set.${name});
  genAttrs = names: f: lib.genAttrs' names (name: lib.nameValuePair name (f name));
  genAttrs' = list: f: listToAttrs (map f list);
  filterAttrs = f: set: removeAttrs set (filter (name: !f name set.${name}) (attrNames set));
  filterAttrsRecursive =
    f: set:
    mapAttrs (_: v: if isAttrs v then lib.filterAttrsRecursive f v else v) (lib.filterAttrs f set);
  foldlAttrs =
    f: start: set:
    lib.foldl' (acc: name: f acc name set.${name}) start (attrNames set);
  mapAttrs' = f: set: listToAttrs (lib.mapAttrsToList f set);
  mapAttrsToList = f: set: attrValues (mapAttrs f set);
  attrsToList = lib.mapAttrsToList lib.nameValuePair;
  concatMapAttrs = f: set: lib.mergeAttrsList (lib.mapAttrsToList f set);
  mapAttrsRecursive = lib.mapAttrsRecursiveCond (_: true);
  mapAttrsRecursiveCond =
    condition: f: set:
    let
      go =
        path:
        mapAttrs (
          name: value:
          if isAttrs value && condition value then go (path ++ [ name ]) value else f (path ++ [ name ]) value
        );
    in
    go [ ] set;
  collect =
    f: set:
    if f set then
      [ set ]
    else if isAttrs set then
      concatMap (lib.collect f) (attrValues set)
    else
      [ ];
  zipAttrs = builtins.zipAttrsWith (_: values: values);
  zipAttrsWithNames = names: f: sets: lib.genAttrs names (name: f name (builtins.catAttrs name sets));
  mergeAttrsList = builtins.foldl' (a: b: a // b) { };
  recursiveUpdateUntil =
    stop: left: right:
    let
      go =
        path:
        builtins.zipAttrsWith (
          name: values:
          let
            here = path ++ [ name ];
          in
          if length values == 1 || stop here (elemAt values 1) (head values) then
            head values
          else
            go here values
        );
    in
    go [ ] [ right left ];
  recursiveUpdate = lib.recursiveUpdateUntil (_: a: b: !(isAttrs a && isAttrs b));
  overrideExisting = old: new: mapAttrs (name: value: new.${name} or value) old;
  cartesianProduct =
    lists:
    builtins.foldl' (
      sets: name: concatMap (set: map (value: set // { ${name} = value; }) lists.${name}) sets
    ) [ { } ] (attrNames lists);
  mapCartesianProduct = f: lists: map f (lib.cartesianProduct lists);
  isDerivation = value: value.type or null == "derivation";
  getOutput =
    output: package:
    if package.outputSpecified or false then
      package
    else
      package.${output} or package.out or package;
  getBin = lib.getOutput "bin";
  getExe' = package: name: "${lib.getBin package}/bin/${name}";
  getExe =
    package:
    lib.getExe' package package.meta.mainProgram or (builtins.parseDrvName package.name).name;
}
