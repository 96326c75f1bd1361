# `import` for an evaluation that gives the same on every day: whatever is imported
# with it, and what that imports in turn, sees a clock that stands at 0 and no search
# path. Otherwise an agent.nix could be another agent after a date.
#
# Both names of each builtin are replaced, and what could lead back to the real ones.
# Variables of the environment are empty under restrict-eval. What is left differs by
# machine only (currentSystem, storeDir, nixVersion), not by time.
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
