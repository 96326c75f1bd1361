# `import` for an evaluation that does not depend on the date: everything imported with it, directly
# or indirectly, sees a clock that is always 0 and no search path. Otherwise an agent.nix could
# define another agent after some date.
#
# Both names of each builtin are replaced, and everything through which the real ones could be
# reached. Environment variables are empty under restrict-eval. The rest depends only on the machine
# (currentSystem, storeDir, nixVersion), not on time.
let
  fixed = builtins // {
    builtins = fixed;
    currentTime = 0;
    nixPath = [ ];
    import = load;
    inherit scopedImport;
  };

  scope = {
    builtins = fixed;
    import = load;
    inherit scopedImport;
    __currentTime = 0;
    __nixPath = [ ];
  };

  load = builtins.scopedImport scope;
  scopedImport = names: builtins.scopedImport (scope // names);
in
load
