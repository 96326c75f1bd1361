# Applies the differences that snapshots.py writes: [ [ path value ] … ], or [ path ] for
# what is removed, on top of a base.
{ lib }:
base: changes:
let
  step =
    value: change:
    let
      path = lib.head change;
      new = lib.elemAt change 1;
    in
    if path == [ ] then
      new
    else if lib.length change == 2 then
      put path new value
    else
      remove path value;
  put =
    path: new: value:
    if path == [ ] then
      new
    else
      value // { ${lib.head path} = put (lib.tail path) new (value.${lib.head path} or { }); };
  remove =
    path: value:
    if lib.length path == 1 then
      removeAttrs value path
    else
      value // { ${lib.head path} = remove (lib.tail path) value.${lib.head path}; };
in
lib.foldl' step base changes
