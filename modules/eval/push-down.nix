# A module's configuration as a list of plain attribute sets: mkMerge spread out,
# mkIf and mkOverride pushed to each attribute. No condition is evaluated.
let
  pushDown =
    config:
    let
      wrap = content: config // { inherit content; };
      each = c: if builtins.isAttrs c then builtins.mapAttrs (_: wrap) c else c;
      type = config._type or "";
    in
    if type == "merge" then
      builtins.concatMap pushDown config.contents
    else if type == "if" || type == "override" then
      map each (pushDown config.content)
    else
      [ config ];
in
pushDown
