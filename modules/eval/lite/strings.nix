# Strings of nixpkgs' lib, by the same names.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    elem
    filter
    genList
    head
    isList
    isString
    match
    replaceStrings
    stringLength
    substring
    toJSON
    toString
    ;
in
{
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStringsSep "" (map f list);
  concatImapStrings = f: list: concatStringsSep "" (lib.imap1 f list);
  concatMapStringsSep =
    separator: f: list:
    concatStringsSep separator (map f list);
  concatImapStringsSep =
    separator: f: list:
    concatStringsSep separator (lib.imap1 f list);
  concatMapAttrsStringSep =
    separator: f: set:
    concatStringsSep separator (lib.mapAttrsToList f set);
  concatLines = lines: if lines == [ ] then "" else concatStringsSep "\n" lines + "\n";
  join = concatStringsSep;
  intersperse =
    separator: list:
    lib.drop 1 (
      builtins.concatMap (x: [
        separator
        x
      ]) list
    );
  optionalString = condition: text: if condition then text else "";
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      rest = stringLength text - stringLength suffix;
    in
    rest >= 0 && substring rest (-1) text == suffix;
  hasInfix = infix: text: match ".*${lib.escapeRegex infix}.*" "${text}" != null;
  removePrefix =
    prefix: text:
    if lib.hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  removeSuffix =
    suffix: text:
    if lib.hasSuffix suffix text then
      substring 0 (stringLength text - stringLength suffix) text
    else
      text;
  stringToCharacters = text: genList (n: substring n 1 text) (stringLength text);
  stringAsChars = f: text: lib.concatMapStrings f (lib.stringToCharacters text);
  replaceString = from: to: replaceStrings [ from ] [ to ];
  escape = chars: replaceStrings chars (map (c: "\\${c}") chars);
  escapeRegex = lib.escape (lib.stringToCharacters "\\[{()^$?*+|.");
  escapeNixString = text: lib.escape [ "$" ] (toJSON text);
  escapeNixIdentifier =
    text:
    if match "[a-zA-Z_][a-zA-Z0-9_'-]*" text != null && !elem text lib.nixKeywords then
      text
    else
      lib.escapeNixString text;
  nixKeywords = [
    "assert"
    "else"
    "if"
    "in"
    "inherit"
    "let"
    "or"
    "rec"
    "then"
    "with"
  ];
  escapeShellArg =
    value:
    let
      text = toString value;
    in
    if match "[[:alnum:],._+:@%/-]+" text == null then
      "'${replaceStrings [ "'" ] [ "'\\''" ] text}'"
    else
      text;
  escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
  isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  escapeXML = replaceStrings [ "\"" "'" "<" ">" "&" ] [ "&quot;" "&apos;" "&lt;" "&gt;" "&amp;" ];
  lowerChars = lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperChars = lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  toLower = replaceStrings lib.upperChars lib.lowerChars;
  toUpper = replaceStrings lib.lowerChars lib.upperChars;
  toSentenceCase =
    text: lib.toUpper (substring 0 1 text) + lib.toLower (substring 1 (stringLength text) text);
  trim = lib.trimWith {
    start = true;
    end = true;
  };
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    text:
    let
      blank = " \t\r\n";
      found = match "${if start then "[${blank}]*" else ""}${
        if end then "(.*[^${blank}])[${blank}]*" else "(.*)"
      }" text;
    in
    if found == null then "" else head found;
  splitString =
    separator: text:
    filter isString (builtins.split (lib.escapeRegex (toString separator)) (toString text));
  makeSearchPath =
    directory: paths:
    lib.concatMapStringsSep ":" (path: "${path}/${directory}") (filter (path: path != null) paths);
  makeBinPath = packages: lib.makeSearchPath "bin" (map lib.getBin packages);
  versionOlder = a: b: builtins.compareVersions b a == 1;
  versionAtLeast = a: b: !lib.versionOlder a b;
  fixedWidthString =
    width: filler: text:
    assert lib.assertMsg (stringLength text <= width)
      "fixedWidthString: requested string length (${toString width}) must not be shorter than actual length (${toString (stringLength text)})";
    if stringLength text == width then
      text
    else
      filler + lib.fixedWidthString (width - stringLength filler) filler text;
  fixedWidthNumber = width: n: lib.fixedWidthString width "0" (toString n);
  isStringLike = x: isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isConvertibleWithToString =
    x:
    lib.isStringLike x
    || elem (builtins.typeOf x) [
      "null"
      "int"
      "float"
      "bool"
    ]
    || isList x && builtins.all lib.isConvertibleWithToString x;
  isStorePath =
    x:
    lib.isStringLike x
    && substring 0 1 (toString x) == "/"
    && dirOf (toString x) == builtins.storeDir;
  toInt =
    text:
    let
      stripped = match "[[:space:]]*(-?[[:digit:]]+)[[:space:]]*" text;
    in
    if stripped == null then
      throw "toInt: Could not convert ${lib.escapeNixString text} to int."
    else if match "0[[:digit:]]+" (head stripped) != null then
      throw "toInt: Ambiguity in interpretation of ${lib.escapeNixString text} between octal and zero padded integer."
    else
      builtins.fromJSON (head stripped);
  fileContents = file: lib.removeSuffix "\n" (builtins.readFile file);
  levenshtein =
    a: b:
    let
      cell =
        i: j:
        if i == 0 || j == 0 then
          i + j
        else
          lib.min (lib.min (at (i - 1) j + 1) (at i (j - 1) + 1)) (
            at (i - 1) (j - 1) + (if substring (i - 1) 1 a == substring (j - 1) 1 b then 0 else 1)
          );
      rows = genList (i: genList (cell i) (stringLength b + 1)) (stringLength a + 1);
      at = i: j: builtins.elemAt (builtins.elemAt rows i) j;
    in
    at (stringLength a) (stringLength b);
}
