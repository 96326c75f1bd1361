# hyperhive.*: the definition of an agent. The only source of option names, types, bounds, defaults,
# documentation and of how a change affects an agent's permissions; options/ has a file for each
# subject. `make generate` writes schema.json, pyglue/manifest/types.py and docs/options.md.
#
# `hyperhive` is ONE option holding a submodule, so that a misspelt name below it
# is an error although everything outside it passes through (see ../eval).
#
# Kinds of `widens`, read by the policy diff:
#   none       changes nothing that the agent can do
#   behaviour  changes what the agent does, not what it may do
#   change     any change widens
#   add        list: an added item widens, and so does null (no limit)
#   enable     false to true widens
#   raise      a higher value widens, and so does null (no limit)
#   dearer     a more expensive model widens
#   env        any variable added, changed or removed widens; values are shown
#   entry      set of entries: a new one widens; inside it the options' own kinds
#   access     "read" or "write": from read to write widens
#   inject     list of uses of a secret: a new or changed one widens
#   expose     how a secret's value is exposed to the agent: any new way widens
#
# `danger` of an option that can widen: how bad an unintended change is. Widening changes are shown
# in this order; an option without it counts as critical.
#   critical   leaves the sandbox, runs other code, or lifts every bound
#   high       more tools, more recipients, more money
#   medium     a more expensive model, more of a bounded resource
#
# `words` is the wording of the policy diff for the option; every part is optional:
#   name             what it is, in a noun phrase without article
#   prefix, suffix   around a value
#   null, none       what null and an empty list mean, after "may" or as a value
#   default          the meaning of null, if not "no limit"
#   may              add: what one item lets the agent do
#   thing, things    add: what an item is, and several (default: thing with an s)
#   all              add: the item that means every one
#   on, off          enable, access: the sentence
#   command          entry: the options that make up its command line
#   also             sentence added where a change widens
{ lib, ... }:
let
  t = import ./types.nix { inherit lib; };

  # One file per subject, each with its options.
  all = map (file: import file { inherit t; }) [
    ./options/limits.nix
    ./options/messages.nix
    ./options/network.nix
    ./options/secrets.nix
    ./options/servers.nix
    ./options/session.nix
    ./options/tools.nix
    ./options/webhooks.nix
    ./options/workspaces.nix
  ];
in
{
  options.hyperhive = t.option {
    type = t.group (builtins.foldl' (left: right: left // right) { } all);
    widens = "change";
    default = { };
    description = "The agent's definition. It is evaluated without nixpkgs: `pkgs` is not available here.";
    example = { model = "sonnet"; };
  };
}
