# Lists and general helpers of nixpkgs' lib, by the same names.
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
    isList
    length
    mapAttrs
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
}
