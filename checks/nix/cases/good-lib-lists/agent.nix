{ lib, ... }:
{
  hyperhive = {
    allowedTools = lib.unique (lib.flatten [ "Read" [ "Edit" [ "Read" ] ] ]);
    bash.allow = lib.concatMap (c: [ "git ${c}" "git ${c} *" ]) [ "add" "diff" ] ++ lib.optionals true (map (n: "run ${toString n}") (lib.range 1 3));
    allowedRecipients = lib.remove "bob" [ "alice" "bob" ];
  };
}
