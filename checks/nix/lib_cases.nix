# Calls of lib by name, whose values checks/nix/record.py records from nixpkgs' lib
# and the tests compare with lite.nix. A value that throws is recorded as "throws".
{ lib }:
let
  inherit (lib) types;

  caught =
    value:
    let
      found = builtins.tryEval (builtins.deepSeq value value);
    in
    if found.success then found.value else "throws";

  # The value of one option of `type` that is defined by `defs`.
  merge =
    type: defs:
    caught
      (lib.evalModules {
        modules = [ { options.x = lib.mkOption { inherit type; }; } ] ++ map (x: { inherit x; }) defs;
      }).config.x;
  # What each single definition gives.
  each = type: map (value: merge type [ value ]);

  package = {
    type = "derivation";
    name = "tool-1.2";
    outPath = "/nix/store/0000-tool";
    bin.outPath = "/nix/store/0000-tool-bin";
    meta.mainProgram = "tl";
  };

  submodule = types.submodule (
    { name, config, ... }:
    {
      options.label = lib.mkOption {
        type = types.str;
        default = name;
      };
      options.twice = lib.mkOption { type = types.str; };
      config.twice = lib.mkDefault (config.label + config.label);
    }
  );

  open = types.submodule {
    freeformType = types.attrsOf types.int;
    options.a = lib.mkOption {
      type = types.int;
      default = 1;
    };
  };
in
lib.mapAttrs (_: caught) {
  # types
  anything = [
    (merge types.anything [
      { a = 1; b.c = [ 1 ]; }
      { b.d = "x"; }
    ])
    (merge types.anything [ 1 "x" ])
  ];
  attrs = merge types.attrs [ { a = 1; } { b = 2; } ];
  attrsOf = merge (types.attrsOf types.int) [ { a = 1; } { b = lib.mkIf false 2; c = lib.mkForce 3; } { c = 1; } ];
  attrsOfBad = each (types.attrsOf types.int) [ { a = "x"; } [ ] 1 null ];
  bool = each types.bool [ true false 1 "true" null ];
  boolByOr = merge types.boolByOr [ true false ];
  coercedTo = each (types.coercedTo types.int toString types.str) [ 1 "x" [ ] ];
  commas = merge types.commas [ "a" "b" ];
  either = each (types.either types.int (types.listOf types.str)) [ 1 [ "a" ] [ 1 ] "x" ];
  enum = each (types.enum [ "a" 1 true ]) [ "a" 1 true "b" ];
  enumMerge = [ (merge (types.enum [ "a" "b" ]) [ "a" "a" ]) (merge (types.enum [ "a" "b" ]) [ "a" "b" ]) ];
  envVar = merge types.envVar [ "a" "b" ];
  float = each types.float [ 1.5 1 "x" ];
  functionTo = (lib.evalModules {
    modules = [
      { options.f = lib.mkOption { type = types.functionTo types.lines; }; }
      { f = x: "a${x}"; }
      { f = x: "b${x}"; }
    ];
  }).config.f "!";
  int = each types.int [ 1 (-1) 1.0 "1" ];
  intsBetween = each (types.ints.between 1 3) [ 0 1 3 4 ];
  intsPositive = each types.ints.positive [ 0 1 ];
  intsUnsigned = each types.ints.unsigned [ (-1) 0 ];
  intsSized = [
    (each types.ints.u8 [ 255 256 ])
    (each types.ints.s8 [ (-128) (-129) ])
    (each types.ints.u16 [ 65535 65536 ])
    (each types.ints.s16 [ 32767 32768 ])
    (each types.ints.u32 [ 4294967295 4294967296 ])
    (each types.ints.s32 [ (-2147483648) 2147483648 ])
    (each types.port [ 0 65536 ])
  ];
  lazyAttrsOf = merge (types.lazyAttrsOf types.int) [ { a = 1; } { b = 2; } ];
  lines = merge types.lines [ "a" "b" (lib.mkBefore "c") ];
  listOf = merge (types.listOf types.int) [ [ 1 (lib.mkIf false 2) ] (lib.mkAfter [ 3 ]) [ 4 ] (lib.mkBefore [ 5 ]) ];
  listOfBad = each (types.listOf types.int) [ [ "x" ] { } 1 ];
  nonEmptyListOf = each (types.nonEmptyListOf types.int) [ [ ] [ 1 ] ];
  nonEmptyStr = each types.nonEmptyStr [ "" " " "x" ];
  nullOr = each (types.nullOr types.int) [ null 1 "x" ];
  nullOrMixed = merge (types.nullOr types.int) [ null 1 ];
  number = each types.number [ 1 1.5 "x" ];
  numbers = [
    (each (types.numbers.between 0 1.5) [ 0 1.5 2 ])
    (each types.numbers.positive [ 0 0.1 ])
    (each types.numbers.nonnegative [ 0 (-0.1) ])
  ];
  oneOf = each (types.oneOf [ types.int types.bool types.str ]) [ 1 true "x" [ ] ];
  path = each types.path [ "/a" "a" 1 ];
  raw = merge types.raw [ { a = 1; } ];
  rawTwice = merge types.raw [ 1 1 ];
  separatedString = merge (types.separatedString "-") [ "a" "b" ];
  singleLineStr = each types.singleLineStr [ "a" "a\n" "a\nb" ];
  str = [ (merge types.str [ "a" "a" ]) (merge types.str [ "a" "b" ]) (merge types.str [ 1 ]) ];
  strMatching = each (types.strMatching "[a-z]+") [ "abc" "aBc" "" ];
  submoduleMerge = merge submodule [ { label = "l"; } ];
  submodules = merge (types.attrsOf submodule) [ { a = { }; b.label = "x"; } { b.twice = "y"; } ];
  submoduleList = merge (types.listOf submodule) [ [ { label = "p"; } { label = "q"; twice = "r"; } ] ];
  submoduleFunction = merge submodule [ ({ lib, ... }: { label = lib.toUpper "f"; }) ];
  submoduleBad = each submodule [ { labl = "x"; } 5 ];
  submoduleOpen = merge open [ { b = 2; } { a = 3; } ];
  submoduleOpenBad = merge open [ { b = "x"; } ];
  uniq = [ (merge (types.uniq types.int) [ 1 ]) (merge (types.uniq types.int) [ 1 1 ]) ];
  unspecified = merge types.unspecified [ [ 1 ] [ 2 ] ];
  descriptions = map (type: type.description) [
    (types.nullOr (types.listOf types.str))
    (types.listOf (types.nullOr types.int))
    (types.either types.ints.positive (types.enum [ "a" "b" ]))
    (types.attrsOf (types.either types.bool types.path))
    (types.ints.between 1 2)
    types.ints.u8
    types.lines
    (types.strMatching "a+")
    (types.nonEmptyListOf types.int)
    (types.coercedTo types.int toString types.str)
    (types.oneOf [ types.int types.float types.package ])
  ];

  # the module system
  moduleArgs = (lib.evalModules {
    specialArgs.special = 1;
    modules = [
      ({ special, extra, ... }: { options.v = lib.mkOption { default = special + extra; }; })
      { _module.args.extra = 2; }
    ];
  }).config.v;
  moduleApply = (lib.evalModules {
    modules = [
      {
        options.v = lib.mkOption {
          type = types.int;
          apply = v: v + 1;
        };
      }
      { v = 1; }
    ];
  }).config.v;
  moduleReadOnly = (lib.evalModules {
    modules = [
      {
        options.v = lib.mkOption {
          readOnly = true;
          default = 1;
        };
      }
      { v = 2; }
    ];
  }).config.v;
  moduleUnchecked = (lib.evalModules { modules = [ { _module.check = false; } { v = 2; } ]; }).config;
  moduleUnknown = (lib.evalModules { modules = [ { options.w = lib.mkEnableOption "w"; } { v = 2; } ]; }).config;
  moduleDisabled = (lib.evalModules {
    modules = [
      { options.v = lib.mkOption { default = 1; }; }
      { key = "gone"; v = 2; }
      { disabledModules = [ { key = "gone"; } ]; }
    ];
  }).config.v;
  moduleNested = (lib.evalModules {
    modules = [
      { options.a.b.c = lib.mkEnableOption "c"; options.a.d = lib.mkOption { default = 2; }; }
      { a = lib.mkIf true { b.c = true; }; }
      (lib.mkIf false { a.d = 3; })
    ];
  }).config;
  moduleDefined = let
    o = (lib.evalModules {
      modules = [
        { options.v = lib.mkOption { type = types.int; }; options.w = lib.mkOption { type = types.int; }; }
        { v = lib.mkIf false 1; w = 1; }
      ];
    }).options;
  in [ o.v.isDefined o.w.isDefined ];
  moduleExtended = ((lib.evalModules { modules = [ { options.v = lib.mkOption { default = 1; }; } ]; }).extendModules {
    modules = [ { v = 2; } ];
  }).config.v;
  moduleOverrides = merge types.int [ (lib.mkDefault 1) (lib.mkOverride 900 2) (lib.mkOptionDefault 3) ];
  moduleForceMerge = merge (types.listOf types.int) [ (lib.mkForce [ 1 ]) (lib.mkForce (lib.mkAfter [ 2 ])) [ 3 ] ];
  moduleAssert = merge types.int [ (lib.mkAssert false "no" 1) ];

  # lists
  all = [ (lib.all (x: x > 1) [ 2 ]) (lib.any (x: x > 1) [ 1 ]) (lib.count (x: x > 1) [ 1 2 3 ]) ];
  concatMap = lib.concatMap (x: [ x x ]) [ 1 2 ];
  find = [
    (lib.findFirst (x: x > 1) 0 [ 1 2 3 ])
    (lib.findFirst (x: x > 5) 0 [ 1 2 3 ])
    (lib.findSingle (x: x > 2) "none" "several" [ 1 2 3 ])
    (lib.findSingle (x: x > 1) "none" "several" [ 1 2 3 ])
  ];
  flatten = lib.flatten [ 1 [ 2 [ 3 ] ] [ ] ];
  folds = [
    (lib.foldr (a: b: a + b) "e" [ "x" "y" ])
    (lib.foldl (a: b: a + b) "s" [ "x" "y" ])
    (lib.foldl' (a: b: a + b) "s" [ "x" "y" ])
    (lib.foldlAttrs (acc: n: v: acc + n + v) "" { b = "2"; a = "1"; })
  ];
  groupBy = lib.groupBy (x: if x > 1 then "big" else "small") [ 1 2 3 ];
  "groupBy'" = lib.groupBy' builtins.add 0 (x: if x > 1 then "big" else "small") [ 1 2 3 ];
  imap = [ (lib.imap0 (i: v: [ i v ]) [ "a" ]) (lib.imap1 (i: v: [ i v ]) [ "a" ]) ];
  lists = [ (lib.intersectLists [ 1 2 ] [ 2 3 ]) (lib.subtractLists [ 1 2 ] [ 2 3 ]) (lib.mutuallyExclusive [ 1 ] [ 2 ]) ];
  lastInit = [ (lib.last [ 1 2 ]) (lib.init [ 1 2 ]) (caught (lib.last [ ])) ];
  optionals = [ (lib.optional true 1) (lib.optional false 1) (lib.optionals true [ 1 ]) (lib.optionals false [ 1 ]) ];
  partition = lib.partition (x: x > 1) [ 1 2 3 ];
  range = [ (lib.range 1 3) (lib.range 3 1) (lib.replicate 2 "x") ];
  remove = lib.remove 1 [ 1 2 1 ];
  sort = [ (lib.sort (a: b: a > b) [ 1 3 2 ]) (lib.sortOn (x: -x) [ 1 3 2 ]) (lib.reverseList [ 1 2 ]) ];
  take = [
    (lib.take 2 [ 1 2 3 ])
    (lib.take 5 [ 1 ])
    (lib.drop 2 [ 1 2 3 ])
    (lib.drop 5 [ 1 ])
    (lib.takeEnd 2 [ 1 2 3 ])
    (lib.dropEnd 2 [ 1 2 3 ])
    (lib.sublist 1 1 [ 1 2 3 ])
  ];
  toList = [ (lib.toList 1) (lib.toList [ 1 ]) (lib.singleton 1) (lib.forEach [ 1 ] (x: x + 1)) ];
  unique = [ (lib.unique [ 1 2 1 ]) (lib.allUnique [ 1 1 ]) (lib.uniqueStrings [ "b" "a" "b" ]) ];
  zip = [ (lib.zipLists [ 1 2 ] [ "a" ]) (lib.zipListsWith builtins.add [ 1 2 ] [ 3 4 ]) ];

  # attribute sets
  attrByPath = [ (lib.attrByPath [ "a" "b" ] 0 { a.b = 1; }) (lib.attrByPath [ "a" "c" ] 0 { a.b = 1; }) ];
  attrPaths = [
    (lib.hasAttrByPath [ "a" "b" ] { a.b = 1; })
    (lib.hasAttrByPath [ "a" "b" ] { a = 1; })
    (lib.setAttrByPath [ "a" "b" ] 1)
    (lib.getAttrFromPath [ "a" ] { a = 1; })
  ];
  attrLists = [
    (lib.attrVals [ "a" ] { a = 1; b = 2; })
    (lib.getAttrs [ "a" ] { a = 1; b = 2; })
    (lib.attrsToList { a = 1; })
    (lib.catAttrs "a" [ { a = 1; } { } ])
    (lib.collect builtins.isInt { a = 1; b.c = 2; b.d = "x"; })
  ];
  cartesianProduct = lib.cartesianProduct { a = [ 1 2 ]; b = [ 3 ]; };
  concatMapAttrs = lib.concatMapAttrs (n: v: { ${n} = v; "${n}2" = v; }) { a = 1; };
  filterAttrs = [
    (lib.filterAttrs (n: v: n != "a" && v > 1) { a = 2; b = 1; c = 2; })
    (lib.filterAttrsRecursive (_: v: v != null) { a = null; b = { c = null; d = 1; }; })
  ];
  genAttrs = lib.genAttrs [ "a" "b" ] (n: n + n);
  mapAttrs = [
    (lib.mapAttrs (n: v: n + v) { a = "1"; })
    (lib.mapAttrs' (n: v: lib.nameValuePair v n) { a = "1"; })
    (lib.mapAttrsToList (n: v: n + v) { b = "2"; a = "1"; })
    (lib.mapAttrsRecursive (p: v: lib.concatStringsSep "." p + v) { a.b = "1"; })
    (lib.mapAttrsRecursiveCond (s: !(s ? stop)) (_: v: builtins.isAttrs v) { a.stop = 1; b.c = 1; })
  ];
  mergeAttrs = [ (lib.mergeAttrsList [ { a = 1; } { a = 2; } ]) (lib.overrideExisting { a = 1; } { a = 2; b = 3; }) ];
  recursiveUpdate = lib.recursiveUpdate { a.b = 1; a.c = 2; d = [ 1 ]; } { a.b = 3; d = [ ]; };
  zipAttrs = lib.zipAttrs [ { a = 1; } { a = 2; b = 3; } ];
  packages = [
    (lib.isDerivation package)
    (toString (lib.getBin package))
    (lib.getExe package)
    (lib.getExe' package "x")
    (lib.makeBinPath [ package ])
  ];

  # strings
  concat = [
    (lib.concatStrings [ "a" "b" ])
    (lib.concatMapStrings toString [ 1 2 ])
    (lib.concatStringsSep "," [ "a" "b" ])
    (lib.concatMapStringsSep "," toString [ 1 2 ])
    (lib.concatImapStringsSep "," (i: s: "${toString i}${s}") [ "a" "b" ])
    (lib.concatMapAttrsStringSep "," (n: v: n + v) { a = "1"; b = "2"; })
    (lib.concatLines [ "a" "b" ])
    (lib.concatLines [ ])
    (lib.intersperse "," [ "a" "b" "c" ])
  ];
  affixes = [
    (lib.hasPrefix "a" "ab")
    (lib.hasSuffix "b" "ab")
    (lib.hasSuffix "abc" "c")
    (lib.hasInfix "b." "ab.c")
    (lib.hasInfix "b." "abxc")
    (lib.removePrefix "a" "ab")
    (lib.removePrefix "b" "ab")
    (lib.removeSuffix "b" "ab")
    (lib.removeSuffix "a" "ab")
  ];
  cases = [ (lib.toUpper "aé1") (lib.toLower "AB") (lib.toSentenceCase "hELLO") (lib.optionalString false "x") ];
  trim = [ (lib.trim " a b\n") (lib.trim "   ") (lib.trim "") (lib.trimWith { start = true; } " a ") (lib.trimWith { end = true; } " a ") ];
  split = [ (lib.splitString "." "a.b..c") (lib.splitString "," "") (lib.stringToCharacters "abc") (lib.stringAsChars (c: c + c) "ab") ];
  escapes = [
    (lib.escape [ "a" ] "ab")
    (lib.escapeRegex "a.b*[")
    (lib.escapeShellArg "it's")
    (lib.escapeShellArg "plain-1")
    (lib.escapeShellArg "")
    (lib.escapeShellArgs [ "a b" 1 ])
    (lib.strings.escapeNixString "a\"\${x}")
    (lib.strings.escapeNixIdentifier "a b")
    (lib.strings.escapeNixIdentifier "if")
    (lib.escapeXML "<a & 'b'>")
    (lib.replaceString "a" "b" "aa")
    (lib.isValidPosixName "1a")
  ];
  numbersOf = [ (lib.toInt " 12 ") (lib.toInt "-3") (caught (lib.toInt "x")) (caught (lib.toInt "012")) ];
  width = [ (lib.fixedWidthString 5 "0" "12") (lib.fixedWidthNumber 3 7) (caught (lib.fixedWidthNumber 1 77)) ];
  version = [ (lib.versionOlder "1.2" "1.10") (lib.versionAtLeast "1.2" "1.2") (lib.compareVersions "1" "2") (lib.splitVersion "1.2a") ];
  levenshtein = map (lib.strings.levenshtein "model") [ "modle" "" "model" "xyz" ];
  show = [ (lib.showOption [ "a" "b.c" "*" "<name>" "d-e" ]) (lib.boolToString true) (lib.boolToYesNo false) ];

  # general
  compare = [ (lib.min 1 2) (lib.max 1 2) (lib.mod 7 3) (lib.compare 1 2) (lib.compare "b" "a") (lib.compare 1 1) ];
  functions = [
    (lib.pipe 1 [ (x: x + 1) toString ])
    (lib.flip (a: b: a + b) "x" "y")
    (lib.const 1 2)
    (lib.id 3)
    (lib.fix (self: { a = 1; b = self.a; }))
    (lib.isFunction (x: x))
    (lib.isFunction { __functor = self: x: x; })
    (lib.functionArgs ({ a, b ? 1 }: a))
    (lib.functionArgs (lib.setFunctionArgs (x: x) { c = true; }))
    ((lib.toFunction 5) 1)
  ];
  logic = [ (lib.xor true false) (lib.and true false) (lib.or true false) (lib.defaultTo 1 null) (lib.mapNullable (x: x + 1) null) ];
  throws = [
    (caught (lib.throwIf true "x" 1))
    (lib.throwIfNot true "x" 1)
    (caught (lib.assertMsg false "x"))
    (lib.warnIf false "x" 1)
  ];
  json = [ (lib.fromJSON "{\"a\":[1]}") (lib.toJSON { a = null; }) ((lib.importJSON ../../modules/agent/schema.json).type) ];
}
