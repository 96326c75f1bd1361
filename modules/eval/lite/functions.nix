# Lists, attribute sets and general helpers of nixpkgs' lib, by the same names.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isList
    isString
    length
    listToAttrs
    mapAttrs
    removeAttrs
    tail
    toString
    ;
in
{
  inherit (builtins)
    add
    addErrorContext
    all
    any
    attrNames
    attrValues
    baseNameOf
    bitAnd
    bitOr
    bitXor
    catAttrs
    ceil
    compareVersions
    concatLists
    concatMap
    concatStringsSep
    deepSeq
    dirOf
    div
    elem
    elemAt
    filter
    floor
    fromJSON
    fromTOML
    genList
    genericClosure
    getAttr
    getContext
    groupBy
    hasAttr
    hasContext
    hashString
    head
    intersectAttrs
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    lessThan
    listToAttrs
    map
    mapAttrs
    match
    mul
    parseDrvName
    partition
    pathExists
    readDir
    readFile
    removeAttrs
    replaceStrings
    seq
    sort
    split
    splitVersion
    stringLength
    sub
    substring
    tail
    toJSON
    toString
    trace
    tryEval
    typeOf
    unsafeDiscardStringContext
    unsafeGetAttrPos
    zipAttrsWith
    ;

  # general
  id = x: x;
  const = x: _: x;
  flip = f: a: b: f b a;
  pipe = builtins.foldl' (x: f: f x);
  concat = a: b: a ++ b;
  and = a: b: a && b;
  or = a: b: a || b;
  xor = a: b: !a != !b;
  min = a: b: if a < b then a else b;
  max = a: b: if a > b then a else b;
  mod = a: b: a - b * (a / b);
  compare = a: b: if a < b then -1 else if a > b then 1 else 0;
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";
  mergeAttrs = a: b: a // b;
  defaultTo = default: value: if value != null then value else default;
  mapNullable = f: value: if value == null then value else f value;
  importJSON = path: builtins.fromJSON (builtins.readFile path);
  importTOML = path: builtins.fromTOML (builtins.readFile path);
  warn = message: builtins.trace "evaluation warning: ${message}";
  warnIf = condition: message: if condition then lib.warn message else lib.id;
  warnIfNot = condition: lib.warnIf (!condition);
  throwIf = condition: message: if condition then throw message else lib.id;
  throwIfNot = condition: lib.throwIf (!condition);
  assertMsg = condition: message: condition || throw message;
  isFunction = f: builtins.isFunction f || f ? __functor && builtins.isFunction (f.__functor f);
  functionArgs =
    f:
    if f ? __functor then
      f.__functionArgs or (builtins.functionArgs (f.__functor f))
    else
      builtins.functionArgs f;
  setFunctionArgs = f: args: {
    __functor = _: f;
    __functionArgs = args;
  };
  toFunction = v: if lib.isFunction v then v else _: v;
  fix =
    f:
    let
      x = f x;
    in
    x;
  isType = type: value: value._type or "" == type;
  setType = type: value: value // { _type = type; };

  # lists
  singleton = x: [ x ];
  forEach = list: f: map f list;
  toList = x: if isList x then x else [ x ];
  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  # Forces the first accumulator, which the builtin does not.
  foldl' =
    f: start: list:
    builtins.seq start (builtins.foldl' f start list);
  foldl =
    f: start: list:
    let
      go = n: if n == -1 then start else f (go (n - 1)) (elemAt list n);
    in
    go (length list - 1);
  foldr =
    f: end: list:
    let
      go = n: if n == length list then end else f (elemAt list n) (go (n + 1));
    in
    go 0;
  fold = lib.foldr;
  imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
  imap1 = f: list: genList (n: f (n + 1) (elemAt list n)) (length list);
  imap = lib.imap1;
  flatten = x: if isList x then concatMap lib.flatten x else [ x ];
  remove = x: filter (y: y != x);
  count = f: list: length (filter f list);
  findSingle =
    f: none: several: list:
    let
      found = filter f list;
    in
    if found == [ ] then
      none
    else if length found > 1 then
      several
    else
      head found;
  findFirst =
    f: default: list:
    let
      go =
        n:
        if n == length list then
          default
        else if f (elemAt list n) then
          elemAt list n
        else
          go (n + 1);
    in
    go 0;
  range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
  replicate = n: x: genList (_: x) n;
  zipListsWith =
    f: a: b:
    genList (n: f (elemAt a n) (elemAt b n)) (lib.min (length a) (length b));
  zipLists = lib.zipListsWith (fst: snd: { inherit fst snd; });
  reverseList = list: genList (n: elemAt list (length list - n - 1)) (length list);
  sortOn =
    f: list:
    map (pair: pair.value) (
      builtins.sort (a: b: a.key < b.key) (
        map (value: {
          key = f value;
          inherit value;
        }) list
      )
    );
  sublist =
    start: count: list:
    genList (n: elemAt list (n + start)) (lib.max 0 (lib.min count (length list - start)));
  take = lib.sublist 0;
  drop = n: list: lib.sublist n (length list) list;
  takeEnd = n: list: lib.drop (lib.max 0 (length list - n)) list;
  dropEnd = n: list: lib.take (lib.max 0 (length list - n)) list;
  last =
    list:
    assert lib.assertMsg (list != [ ]) "lists.last: list must not be empty!";
    elemAt list (length list - 1);
  init =
    list:
    assert lib.assertMsg (list != [ ]) "lists.init: list must not be empty!";
    lib.take (length list - 1) list;
  unique = builtins.foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  uniqueStrings = list: attrNames (builtins.groupBy lib.id list);
  allUnique = list: length (lib.unique list) == length list;
  intersectLists = a: filter (x: elem x a);
  subtractLists = a: filter (x: !elem x a);
  mutuallyExclusive = a: b: !builtins.any (x: elem x a) b;
  groupBy' =
    f: start: key: list:
    mapAttrs (_: lib.foldl f start) (builtins.groupBy key list);
  concatAttrValues = set: builtins.concatLists (attrValues set);

  # attribute sets
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

  # options
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
  # Values of definitions for an error, each cut to what one line holds.
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
